// Arrays as they were packed, and numbers as they are shown.

// Little-endian float32 in base64, as elman.view.packing writes it.
export function unpacked(packed) {
  if (packed === null) return null;
  const bytes = Uint8Array.from(atob(packed.data), (c) => c.charCodeAt(0));
  const bits = new DataView(bytes.buffer);
  const values = new Float32Array(bytes.length / 4);
  for (let k = 0; k < values.length; k += 1) values[k] = bits.getFloat32(4 * k, true);
  return { shape: packed.shape, values };
}

// A number in full: six decimals, or seven digits where it is large or tiny.
export function full(value) {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return unbounded(value);
  const plain = value === 0 || (size >= 1e-3 && size < 1e4);
  return minus(plain ? value.toFixed(6) : value.toExponential(6));
}

// A number for a tight place.
export function short(value) {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return unbounded(value);
  if (value === 0) return "0";
  if (size < 1e-3 || size >= 1e5) return minus(value.toExponential(1));
  return minus(String(Number(value.toPrecision(3))));
}

// A layer's number, as it stands beside h.
export function raised(number) {
  return `⁽${[...String(number)].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("")}⁾`;
}

export function percent(p) {
  if (p > 0.9995) return "> 99.9%";
  return p < 0.0005 ? "< 0.1%" : `${(100 * p).toFixed(1)}%`;
}

function unbounded(value) {
  return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "\u2212∞";
}

function minus(text) {
  return text.replace(/-/g, "\u2212");
}

export function largest(values) {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most || 1;
}
