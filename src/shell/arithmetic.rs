//! Arithmetic expansion (POSIX.1-2024, XCU 2.6.4): C's integer expressions in 64 bits that wrap. Text is parsed once
//! (`parser`), and evaluated as often as a loop comes by.

mod parser;

use std::borrow::Cow;

use super::syntax::tree::{Name, Part};
use crate::sys::stack;

/// What an expression needs of the shell.
pub trait Scope {
    fn get(&self, name: &[u8]) -> Result<Option<Cow<'_, [u8]>>, String>;
    fn set(&mut self, name: &[u8], value: i64) -> Result<(), String>;
    /// What `$name` stands for, where that is a number.
    fn parameter(&self, name: &Name) -> Option<i64>;
}

/// Why there is no value.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// Something in it is more than a number. The text must be expanded, and parsed then; nothing has happened yet.
    Textual,
    Message(String),
}

impl From<String> for Trouble {
    fn from(message: String) -> Trouble {
        Trouble::Message(message)
    }
}

type Value = Result<i64, Trouble>;

/// A parsed expression: steps in the order in which they are taken, operands before their operators, on a stack of
/// values. However deep it nests, neither evaluating nor dropping it calls itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    steps: Vec<Step>,
    /// How high the stack grows.
    height: usize,
    /// There is `$name` in it.
    parameters: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Number(i64),
    Variable(Box<[u8]>),
    /// `$name`, for which its value would be put
    Parameter(Name),
    /// `-`, `~`, `!`
    Unary(u8),
    Binary(Operator),
    /// `&&` behind its left side: unless that holds, the value is 0, and the steps go on there
    And(usize),
    /// `||`: if it holds, the value is 1
    Or(usize),
    /// The right side of these decides.
    Truth,
    /// `?`: unless the condition holds, the steps go on there
    Unless(usize),
    /// `:`
    Jump(usize),
    /// `,`
    Drop,
    /// `x = …`, and `x += …` with an operator
    Assign(Box<[u8]>, Option<Operator>),
    /// `++x`, `--x`, and with `after` `x++`, `x--`
    Count {
        name: Box<[u8]>,
        by: i64,
        after: bool,
    },
}

impl Step {
    /// By how much the stack is higher behind it.
    fn growth(&self) -> isize {
        match self {
            Step::Number(_) | Step::Variable(_) | Step::Parameter(_) | Step::Count { .. } => 1,
            Step::Unary(_) | Step::Truth | Step::Assign(..) => 0,
            Step::Binary(_) | Step::And(_) | Step::Or(_) | Step::Unless(_) | Step::Jump(_) | Step::Drop => -1,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    BitOr,
    BitXor,
    BitAnd,
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    ShiftLeft,
    ShiftRight,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

impl Operator {
    fn apply(self, left: i64, right: i64) -> Result<i64, String> {
        Ok(match self {
            Operator::BitOr => left | right,
            Operator::BitXor => left ^ right,
            Operator::BitAnd => left & right,
            Operator::Equal => i64::from(left == right),
            Operator::Unequal => i64::from(left != right),
            Operator::Less => i64::from(left < right),
            Operator::LessEqual => i64::from(left <= right),
            Operator::Greater => i64::from(left > right),
            Operator::GreaterEqual => i64::from(left >= right),
            // A shift by the width or more is undefined in C; the processors' answer is the count's low bits.
            Operator::ShiftLeft => left.wrapping_shl(right as u32),
            Operator::ShiftRight => left.wrapping_shr(right as u32),
            Operator::Add => left.wrapping_add(right),
            Operator::Subtract => left.wrapping_sub(right),
            Operator::Multiply => left.wrapping_mul(right),
            Operator::Divide | Operator::Remainder if right == 0 => return Err(String::from("division by zero")),
            Operator::Divide => left.wrapping_div(right),
            Operator::Remainder => left.wrapping_rem(right),
            Operator::Power if right < 0 => return Err(String::from("negative exponent")),
            Operator::Power => power(left, right),
        })
    }
}

fn power(mut base: i64, mut exponent: i64) -> i64 {
    let mut result = 1i64;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        exponent >>= 1;
    }
    result
}

/// The value of an expression; an empty one is 0.
pub fn evaluate(text: &[u8], scope: &mut dyn Scope) -> Result<i64, String> {
    parser::text(text)?.value(scope).map_err(|trouble| match trouble {
        Trouble::Message(message) => message,
        Trouble::Textual => String::from("syntax error"),
    })
}

impl Expression {
    /// The expression that `parts` make where it cannot depend on what is expanded in them. `None`: it may, or there is
    /// an error in it, which shows when it is expanded.
    pub fn of_parts(parts: &[Part]) -> Option<Expression> {
        let expression = parser::parts(parts)?;
        // All of `$x` is expanded before anything is assigned; a last assignment comes late enough anyway.
        let assigns = |step: &Step| matches!(step, Step::Assign(..) | Step::Count { .. });
        let (last, others) = expression.steps.split_last()?;
        let early = others.iter().any(assigns) || matches!(last, Step::Count { .. });
        (!(expression.parameters && early)).then_some(expression)
    }

    fn new(steps: Vec<Step>, parameters: bool) -> Expression {
        let (mut height, mut highest) = (0isize, 0);
        for step in &steps {
            height += step.growth();
            highest = highest.max(height);
        }
        Expression { steps, height: highest.unsigned_abs(), parameters }
    }

    pub fn value(&self, scope: &mut dyn Scope) -> Value {
        // Enough for what people write.
        let mut low = [0; 8];
        if self.height <= low.len() {
            return self.run(&mut low, scope);
        }
        self.run(&mut vec![0; self.height], scope)
    }

    /// Takes the steps. `top` is how many values there are.
    fn run(&self, stack: &mut [i64], scope: &mut dyn Scope) -> Value {
        let (mut at, mut top) = (0, 0);
        while let Some(step) = self.steps.get(at) {
            at += 1;
            match step {
                Step::Number(value) => {
                    stack[top] = *value;
                    top += 1;
                }
                Step::Variable(name) => {
                    stack[top] = self.variable(name, scope)?;
                    top += 1;
                }
                Step::Parameter(name) => {
                    stack[top] = scope.parameter(name).ok_or(Trouble::Textual)?;
                    top += 1;
                }
                Step::Count { name, by, after } => {
                    let old = self.variable(name, scope)?;
                    let new = old.wrapping_add(*by);
                    scope.set(name, new)?;
                    stack[top] = if *after { old } else { new };
                    top += 1;
                }
                Step::Assign(name, operator) => {
                    if let Some(operator) = operator {
                        stack[top - 1] = operator.apply(self.variable(name, scope)?, stack[top - 1])?;
                    }
                    scope.set(name, stack[top - 1])?;
                }
                Step::Unary(operator) => {
                    let value = &mut stack[top - 1];
                    *value = match operator {
                        b'-' => value.wrapping_neg(),
                        b'~' => !*value,
                        _ => i64::from(*value == 0),
                    };
                }
                Step::Binary(operator) => {
                    top -= 1;
                    stack[top - 1] = operator.apply(stack[top - 1], stack[top])?;
                }
                Step::And(end) if stack[top - 1] == 0 => at = *end,
                Step::Or(end) if stack[top - 1] != 0 => {
                    stack[top - 1] = 1;
                    at = *end;
                }
                Step::Unless(other) => {
                    top -= 1;
                    if stack[top] == 0 {
                        at = *other;
                    }
                }
                Step::Jump(end) => at = *end,
                Step::And(_) | Step::Or(_) => top -= 1,
                Step::Truth => stack[top - 1] = i64::from(stack[top - 1] != 0),
                Step::Drop => {
                    top -= 1;
                    stack[top - 1] = stack[top];
                }
            }
        }
        // Without a step there is no value, which is 0.
        Ok(if top > 0 { stack[top - 1] } else { 0 })
    }

    /// The value of a variable, which may itself be an expression.
    fn variable(&self, name: &[u8], scope: &mut dyn Scope) -> Value {
        let text = match scope.get(name)? {
            None => return Ok(0),
            Some(text) => match number(&text) {
                Some(value) => return Ok(value),
                None => text.into_owned(),
            },
        };
        if self.parameters {
            return Err(Trouble::Textual);
        }
        if stack::is_exhausted() {
            return Err(parser::too_deep().into());
        }
        parser::text(&text)?.value(scope)
    }
}

/// The number that a text is, with a sign and blanks around it.
pub fn number(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // Most are short and decimal.
    if let [b'1'..=b'9', ..] = digits
        && digits.len() <= 18
        && digits.iter().all(u8::is_ascii_digit)
    {
        let value = digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
        return Some(if negative { -value } else { value });
    }
    let text = text.trim_ascii();
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let value = constant(digits)?;
    Some(if text.starts_with(b"-") { value.wrapping_neg() } else { value })
}

/// A constant: decimal, octal, hexadecimal, or `base#digits` as ksh has it. What is too large wraps, so that the least
/// number can be written.
fn constant(text: &[u8]) -> Option<i64> {
    let hash = text.iter().position(|byte| *byte == b'#');
    let (base, digits) = match (text, hash) {
        (_, Some(hash)) => (decimal(&text[..hash])?, &text[hash + 1..]),
        ([b'0', b'x' | b'X', rest @ ..], _) => (16, rest),
        ([b'0', rest @ ..], _) if !rest.is_empty() => (8, rest),
        _ => (10, text),
    };
    if digits.is_empty() || !(2..=64).contains(&base) {
        return None;
    }
    let mut value = 0i64;
    for byte in digits {
        value = value.wrapping_mul(base).wrapping_add(digit(*byte, base)?);
    }
    Some(value)
}

fn decimal(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn digit(byte: u8, base: i64) -> Option<i64> {
    let value = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'z' => byte - b'a' + 10,
        b'A'..=b'Z' if base <= 36 => byte - b'A' + 10,
        b'A'..=b'Z' => byte - b'A' + 36,
        b'@' => 62,
        b'_' => 63,
        _ => return None,
    };
    Some(i64::from(value)).filter(|value| *value < base)
}

/// A number as text, without a place on the heap.
pub struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Decimal {
        let mut decimal = Decimal { digits: [0; 20], start: 20 };
        let mut rest = value.unsigned_abs();
        loop {
            decimal.start -= 1;
            decimal.digits[decimal.start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            decimal.start -= 1;
            decimal.digits[decimal.start] = b'-';
        }
        decimal
    }
}

impl std::ops::Deref for Decimal {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::syntax::tree::{Modifier, Parameter};
    use std::collections::HashMap;

    #[derive(Default)]
    struct Map(HashMap<Vec<u8>, Vec<u8>>);

    impl Scope for Map {
        fn get(&self, name: &[u8]) -> Result<Option<Cow<'_, [u8]>>, String> {
            Ok(self.0.get(name).map(Cow::from))
        }

        fn set(&mut self, name: &[u8], value: i64) -> Result<(), String> {
            self.0.insert(name.to_vec(), value.to_string().into_bytes());
            Ok(())
        }

        fn parameter(&self, name: &Name) -> Option<i64> {
            match name {
                Name::Variable(name) => number(self.0.get(name)?),
                _ => None,
            }
        }
    }

    fn map() -> Map {
        let mut map = Map::default();
        map.0.insert(b"x".to_vec(), b"7".to_vec());
        map.0.insert(b"sum".to_vec(), b"x + 1".to_vec());
        map.0.insert(b"self".to_vec(), b"self".to_vec());
        map
    }

    fn value(expression: &str) -> Result<i64, String> {
        evaluate(expression.as_bytes(), &mut map())
    }

    #[test]
    fn precedence_and_operators() {
        for (expression, expected) in [
            ("", 0),
            ("1 + 2 * 3", 7),
            ("(1 + 2) * 3", 9),
            ("1 << 3 | 1", 9),
            ("7 / 2 - -7 % 4", 6),
            ("-7 / 2", -3),
            ("!0 + ~0", 0),
            ("1 < 2 == 1", 1),
            ("5 & 3 ^ 1", 0),
            ("1 ? 2 : 3 ? 4 : 5", 2),
            ("0 || 2 && 3", 1),
            ("1, 2, 3", 3),
            ("0x1F + 010", 39),
            ("x + sum", 15),
            ("x = 3, x += 4, x", 7),
            ("x++ + x", 15),
            ("--x", 6),
            ("- -3", 3),
            ("--3", 3),
            ("unset + 1", 1),
            ("9223372036854775807 + 1", i64::MIN),
            ("(-9223372036854775807 - 1) / -1", i64::MIN),
            ("-9223372036854775808", i64::MIN),
            ("2#101 + 16#fF + 36#Z + 64#_", 5 + 255 + 35 + 63),
            ("2 ** 3 ** 2 + 3 ** 0", 513),
            ("x <<= 2, x", 28),
            ("x+++x", 15),
            ("1 - -1", 2),
            ("x == 7 ? x = 1 : 2, x", 1),
        ] {
            assert_eq!(value(expression), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn what_is_not_taken_is_not_evaluated() {
        for (expression, expected) in
            [("0 && 1 / 0", 0), ("1 || 1 / 0", 1), ("1 ? 5 : 1 / 0", 5), ("0 && (x = 9), x", 7)]
        {
            assert_eq!(value(expression), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn errors() {
        assert_eq!(value("1 / 0"), Err(String::from("division by zero")));
        assert_eq!(value("08"), Err(String::from("bad number \"08\"")));
        assert_eq!(value("1 +"), Err(String::from("syntax error: missing operand")));
        assert_eq!(value("1 2"), Err(String::from("syntax error near \"2\"")));
        assert_eq!(value("2 ** -1"), Err(String::from("negative exponent")));
        assert_eq!(value("1#0"), Err(String::from("bad number \"1#0\"")));
        assert_eq!(value("a[1]"), Err(String::from("arrays are not supported")));
        assert_eq!(value("self"), Err(String::from("nested too deeply")));
        for nested in ["(", "x=", "1?1:", "1?", "-"] {
            assert_eq!(value(&nested.repeat(500_000)), Err(String::from("nested too deeply")), "{nested}");
        }
    }

    #[test]
    fn long_is_not_deep() {
        assert_eq!(value(&["1", &"+1".repeat(1000)].concat()), Ok(1001));
        assert_eq!(value(&["1", &"+1".repeat(500_000)].concat()), Ok(500_001));
        assert_eq!(value(&["(1+", &"(1+".repeat(20), "1", &")".repeat(21)].concat()), Ok(22));
    }

    #[test]
    fn what_is_known_before_expansion() {
        let parameter = |name: &str| {
            let name = Name::Variable(name.into());
            Part::Parameter(Box::new(Parameter { name, modifier: Modifier::None }))
        };
        let literal = |text: &str| Part::Literal(text.into());
        let known = |parts: &[Part]| Expression::of_parts(parts).map(|expression| expression.value(&mut map()));
        assert_eq!(known(&[literal("x*2 + 1")]), Some(Ok(15)));
        assert_eq!(known(&[parameter("x"), literal(" * "), parameter("x")]), Some(Ok(49)));
        assert_eq!(known(&[literal("y = "), parameter("x"), literal("+ 1")]), Some(Ok(8)));
        assert_eq!(known(&[literal("2 * "), parameter("sum")]), Some(Err(Trouble::Textual)));
        assert_eq!(known(&[literal("sum + "), parameter("x")]), Some(Err(Trouble::Textual)));
        // `$x` in these is the value before.
        assert_eq!(known(&[literal("x = 1, "), parameter("x")]), None);
        assert_eq!(known(&[literal("x++ + "), parameter("x")]), None);
        // These are made by what is expanded.
        for parts in [
            [literal("1"), parameter("x")],
            [parameter("x"), literal("1")],
            [parameter("x"), parameter("x")],
            [parameter("x"), literal("= 1")],
            [literal("1 +"), literal("")],
        ] {
            assert_eq!(known(&parts), None, "{parts:?}");
        }
    }

    #[test]
    fn numbers_as_text() {
        for value in [0, 7, -7, 10, i64::MAX, i64::MIN] {
            assert_eq!(*Decimal::from(value), *value.to_string().as_bytes());
        }
    }
}
