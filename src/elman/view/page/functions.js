// Every nonlinearity by its name: f, its slope, how large it can get, and how it is written.

const between = (z, low, high) => Math.max(low, Math.min(high, z));
const [SCALE, ALPHA] = [1.0507009873554804934, 1.6732632423543772848]; // selu's, as torch has them
const sigmoid = (z) => 1 / (1 + Math.exp(-z));

export const FUNCTIONS = {
  tanh: { f: Math.tanh, slope: (z) => 1 / Math.cosh(z) ** 2, most: 1 },
  relu: { f: (z) => Math.max(0, z), slope: (z) => Number(z > 0), formula: "max(0, z)" },
  identity: { f: (z) => z, slope: () => 1 },
  sigmoid: { f: sigmoid, slope: (z) => sigmoid(z) * sigmoid(-z), most: 1, formula: "1 / (1 + exp(−z))" },
  hardtanh: { f: (z) => between(z, -1, 1), slope: (z) => Number(Math.abs(z) < 1), most: 1, formula: "min(1, max(−1, z))" },
  hardsigmoid: { f: (z) => between(z + 3, 0, 6) / 6, slope: (z) => Number(Math.abs(z) < 3) / 6, most: 1, formula: "min(1, max(0, z/6 + 1/2))" },
  leaky_relu: { f: (z) => (z > 0 ? z : 0.01 * z), slope: (z) => (z > 0 ? 1 : 0.01), formula: "max(z, 0.01 z)" },
  elu: { f: (z) => (z > 0 ? z : Math.expm1(z)), slope: (z) => (z > 0 ? 1 : Math.exp(z)), formula: "max(0, z) + min(0, exp(z) − 1)" },
  selu: {
    f: (z) => SCALE * (z > 0 ? z : ALPHA * Math.expm1(z)),
    slope: (z) => SCALE * (z > 0 ? 1 : ALPHA * Math.exp(z)),
    formula: "1.0507 (max(0, z) + 1.6733 min(0, exp(z) − 1))",
  },
  softsign: { f: (z) => z / (1 + Math.abs(z)), slope: (z) => 1 / (1 + Math.abs(z)) ** 2, most: 1, formula: "z / (1 + |z|)" },
  softplus: { f: (z) => Math.max(0, z) + Math.log1p(Math.exp(-Math.abs(z))), slope: sigmoid, formula: "ln(1 + exp(z))" },
};
