// Names cut short so that they can still be told apart. Where all of many that are too long begin
// or end alike, as dates do, that goes first.

// A label cut to a width given in letters; Chinese characters count twice.
export function cut(text, most) {
  let width = 0;
  let out = "";
  for (const c of text) {
    width += /[\u2e80-\uffef]|[\u{20000}-\u{3ffff}]/u.test(c) ? 2 : 1;
    if (width > most) return `${out}…`;
    out += c;
  }
  return out;
}

function turned(text) {
  return [...text].reverse().join("");
}

function kind(letter) {
  return /\p{N}/u.test(letter) ? "number" : /\p{L}/u.test(letter) ? "word" : "between";
}

// How many letters all of them begin with, but for a part of a number or a word.
function shared(names) {
  const goesOn = (name, k) => k > 0 && k < name.length && kind(name[k]) === kind(name[k - 1]);
  let many = 0;
  while (names.every((name) => many < name.length && name[many] === names[0][many])) many += 1;
  while (names.some((name) => goesOn(name, many))) many -= 1;
  return names.some((name) => name.length === many) ? 0 : many;
}

const DAY = /^((?:19|20)\d\d)(\d\d)(\d\d)$/;

// What cuts each of these names to about so many letters.
export function shortener(names, most) {
  if (names.length && names.every((name) => DAY.test(name))) { // 20240131, as 2024-01-31
    const dashed = (name) => name.replace(DAY, "$1-$2-$3");
    const short = shortener(names.map(dashed), most);
    return (name) => short(dashed(name));
  }
  const plain = (name) => cut(name, most);
  const all = [...new Set(names)];
  if (all.length < 2 || all.every((name) => plain(name) === name)) return plain;
  const letters = all.map((name) => [...name]);
  const head = shared(letters);
  const tail = shared(letters.map((name) => name.slice(head).reverse()));
  const middle = (name) => [...name].slice(head, [...name].length - tail).join("");
  const ways = [plain, (name) => cut(middle(name), most), (name) => turned(cut(turned(middle(name)), most))];
  const apart = ways.map((way) => new Set(all.map(way)).size);
  // the beginning, as long as it tells more than half of them apart that another part does
  return ways[apart.findIndex((many) => 2 * many > Math.max(...apart))];
}
