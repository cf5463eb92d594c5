// How does a page compute each row of autograd/ops.py? One function per row, with Python's errors.
//
// A row without a function here is shown with its numbers, but the leaves it depends on cannot be
// moved. One line in OPERATIONS makes them movable.

// --- numbers -------------------------------------------------------------------------------------

/** A recorded number: JSON has no nan and no infinities. */
function read(recorded) {
  const special = { nan: NaN, inf: Infinity, "-inf": -Infinity, "-0": -0 };
  return typeof recorded === "string" ? special[recorded] : recorded;
}

const DIGITS = 4; // significant digits of a number, where these are enough, as in Python

/** Python's format(x, ".4g"). On a tie, JavaScript rounds up and Python to the even digit. */
function number(x, digits = DIGITS) {
  if (Number.isNaN(x)) return "nan";
  if (x < 0 || Object.is(x, -0)) return "-" + number(-x, digits);
  if (x === Infinity) return "inf";
  if (x === 0) return "0";
  let rounded = x.toExponential(digits - 1);
  const longer = x.toExponential(digits);
  if (longer[digits + 1] === "5" && Number(longer) === x) {
    const exact = x.toExponential(60); // all digits of any number that could be a tie
    const kept = exact.slice(0, digits + 1);
    const tie = /^50*e/.test(exact.slice(digits + 1));
    if (tie && Number(kept[digits]) % 2 === 0) rounded = kept + exact.slice(62);
  }
  const [mantissa, exponent] = rounded.replace(/\.?0*e/, "e").split("e");
  const power = Number(exponent);
  if (power < -4 || power >= digits) {
    return `${mantissa}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
  }
  const written = mantissa.replace(".", "");
  if (power < 0) return `0.${"0".repeat(-power - 1)}${written}`;
  const [whole, rest] = [written.slice(0, power + 1), written.slice(power + 1)];
  return whole.padEnd(power + 1, "0") + (rest && `.${rest}`);
}

// --- what each row of the table of primitives computes -------------------------------------------

/** Raised where Python raises; `why` is "domain", "zero" or "overflow". */
class Undefined extends Error {
  constructor(why) {
    super(why);
    this.why = why;
  }
}

function within(domain, result) {
  if (!domain) throw new Undefined("domain");
  return result;
}

/** An infinite result of finite operands has overflowed. */
function bounded(result, ...operands) {
  if (Math.abs(result) === Infinity && operands.every(Number.isFinite)) {
    throw new Undefined("overflow");
  }
  return result;
}

const exp = (x) => bounded(Math.exp(x), x);

function power(x, y) {
  if (x === 0 && y < 0 && y > -Infinity) throw new Undefined("zero");
  // In Python, as in C, 1 to any power is 1; in JavaScript not to nan or the infinities.
  if (x === 1 || (x === -1 && Math.abs(y) === Infinity)) return 1;
  const complex = x < 0 && Number.isFinite(x) && Number.isFinite(y) && !Number.isInteger(y);
  return bounded(within(!complex, Math.pow(x, y)), x, y);
}

function logOfBase(x) {
  return x === 0 ? 0 : Math.log(x); // nan below 0
}

function loweredPower(x, y, k) {
  if (x === 0 && y >= 0 && y < k && y % 1 === 0) return 1;
  const less = y - k;
  const result = power(x, less);
  const rest = (y - (less + k)) * logOfBase(x);
  return Number.isFinite(rest) ? result + result * rest : result;
}

function sech(x) {
  const e = exp(-Math.abs(x));
  return (2 * e) / (1 + e * e);
}

function sigmoid(x) {
  if (x >= 0) return 1 / (1 + exp(-x));
  const e = exp(x);
  return e / (1 + e);
}

/** exp(-x * x), corrected for the rounding of the square, as in ops.py. */
function gaussian(x) {
  const square = x * x;
  if (!(square < 750)) return exp(-square);
  let high = x * 134217729;
  high -= high - x;
  const low = x - high;
  const rest = high * high - square + 2 * high * low + low * low;
  const e = exp(-square);
  return e - e * rest;
}

/**
 * Up to 1 the series 2/sqrt(pi) e^(-x^2) x (1 + 2x^2/3 (1 + 2x^2/5 (1 + ...))), none of whose terms
 * is negative; beyond 1, 1 - erfc(x) with Laplace's continued fraction for
 * sqrt(pi) e^(x^2) erfc(x) = 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + ...)))).
 */
function erf(x) {
  const size = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (size > 6) return Math.sign(x); // erfc(6) is 2e-17
  if (size <= 1) {
    let sum = 0;
    for (let k = 24; k > 0; k--) sum = ((2 * x * x) / (2 * k + 1)) * (1 + sum);
    const scaled = x * gaussian(x);
    return (2 / Math.sqrt(Math.PI)) * (scaled + scaled * sum);
  }
  let fraction = size;
  for (let k = 200; k > 0; k--) fraction = size + k / 2 / fraction;
  return Math.sign(x) * (1 - gaussian(x) / (Math.sqrt(Math.PI) * fraction));
}

function div(a, b) {
  if (b === 0) throw new Undefined("zero");
  return a / b;
}

const OPERATIONS = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div,
  neg: (x) => -x,
  pow: power,
  power,
  exp,
  expm1: (x) => bounded(Math.expm1(x), x),
  log: (x) => within(!(x <= 0), Math.log(x)),
  log1p: (x) => within(!(x <= -1), Math.log1p(x)),
  sqrt: (x) => within(!(x < 0), Math.sqrt(x)),
  sin: (x) => within(Math.abs(x) !== Infinity, Math.sin(x)),
  cos: (x) => within(Math.abs(x) !== Infinity, Math.cos(x)),
  sech,
  tanh: Math.tanh,
  sigmoid,
  softplus: (x) => (x > 0 ? x + Math.log1p(exp(-x)) : Math.log1p(exp(x))),
  gaussian,
  erf,
  exponent: (y) => y,
  lowered_power: loweredPower,
  log_of_base: logOfBase,
  greater: (a, b) => (a > b ? 1 : 0),
  less: (a, b) => (a < b ? 1 : 0),
  relu: (x) => (x <= 0 ? 0 : x),
  abs: Math.abs,
  maximum: (a, b) => (a >= b || Number.isNaN(a) ? a : b),
  minimum: (a, b) => (a <= b || Number.isNaN(a) ? a : b),
  where: (condition, a, b) => (condition !== 0 ? a : b), // nan is true, as in Python
};

function compute([slot, name, operands], values) {
  values[slot] = OPERATIONS[name](...operands.map((s) => values[s]));
}

/** What an attempt raised, if it is an error that Python raises too. */
function raised(attempt) {
  try {
    attempt();
    return null;
  } catch (error) {
    if (error instanceof Undefined) return error;
    throw error;
  }
}
