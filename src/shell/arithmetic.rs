//! Arithmetic expansion (POSIX.1-2024, XCU 2.6.4): C's integer expressions in 64 bits that wrap.

use std::borrow::Cow;

use crate::output::Safe;

/// What an expression needs of the shell.
pub trait Scope {
    fn get(&self, name: &[u8]) -> Result<Option<Cow<'_, [u8]>>, String>;
    fn set(&mut self, name: &[u8], value: i64) -> Result<(), String>;
}

/// How deep parentheses, assignments, signs and values of variables may nest.
const MAX_DEPTH: usize = 400;

/// The value of an expression; an empty one is 0.
pub fn evaluate(expression: &[u8], scope: &mut dyn Scope) -> Result<i64, String> {
    nested(expression, scope, 0)
}

fn nested(expression: &[u8], scope: &mut dyn Scope, depth: usize) -> Result<i64, String> {
    let mut evaluator = Evaluator { text: expression, at: 0, scope, skip: 0, depth };
    evaluator.blanks();
    if evaluator.at == expression.len() {
        return Ok(0);
    }
    let value = evaluator.comma()?;
    match evaluator.at == expression.len() {
        true => Ok(value),
        false => Err(format!("syntax error near \"{}\"", Safe(&expression[evaluator.at..]))),
    }
}

struct Evaluator<'a> {
    text: &'a [u8],
    at: usize,
    scope: &'a mut dyn Scope,
    /// Above zero: parse on, but evaluate nothing (the side of `&&`, `||`, `?:` that is not taken).
    skip: usize,
    depth: usize,
}

/// Binary operators and how tightly they bind; longer ones before their beginnings.
const OPERATORS: [(&str, u8); 18] = [
    ("||", 1),
    ("&&", 2),
    ("|", 3),
    ("^", 4),
    ("&", 5),
    ("==", 6),
    ("!=", 6),
    ("<<", 8),
    (">>", 8),
    ("<=", 7),
    (">=", 7),
    ("<", 7),
    (">", 7),
    ("+", 9),
    ("-", 9),
    ("*", 10),
    ("/", 10),
    ("%", 10),
];

const ASSIGNMENTS: [&str; 11] = ["=", "*=", "/=", "%=", "+=", "-=", "<<=", ">>=", "&=", "^=", "|="];

type Value = Result<i64, String>;

impl<'a> Evaluator<'a> {
    fn blanks(&mut self) {
        let blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n');
        self.at += self.text[self.at..].iter().take_while(blank).count();
    }

    /// Whether a binary or assignment operator can begin here.
    fn is_at_operator(&mut self) -> bool {
        self.blanks();
        self.text.get(self.at).is_some_and(|byte| b"=*/%+-<>&^|!".contains(byte))
    }

    /// Takes an operator if it stands here whole: `<` does not match the start of `<<`, nor `&` that of `&&` or `&=`.
    fn operator(&mut self, operator: &str) -> bool {
        self.blanks();
        let rest = &self.text[self.at..];
        if !rest.starts_with(operator.as_bytes()) {
            return false;
        }
        let next = rest.get(operator.len()).copied();
        let longer = match operator {
            "|" | "&" => next == Some(operator.as_bytes()[0]) || next == Some(b'='),
            "<" | ">" => next == Some(operator.as_bytes()[0]) || next == Some(b'='),
            "=" => next == Some(b'='),
            "*" | "/" | "%" | "+" | "-" | "^" | "<<" | ">>" => next == Some(b'='),
            _ => false,
        };
        if !longer {
            self.at += operator.len();
        }
        !longer
    }

    fn comma(&mut self) -> Value {
        let mut value = self.assignment()?;
        while self.operator(",") {
            value = self.assignment()?;
        }
        Ok(value)
    }

    /// Everything that nests comes through here or through [`Self::unary`].
    fn deeper(&mut self, inner: fn(&mut Self) -> Value) -> Value {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(String::from("expression nested too deeply"));
        }
        let value = inner(self);
        self.depth -= 1;
        value
    }

    fn assignment(&mut self) -> Value {
        self.deeper(Self::assignment_or_ternary)
    }

    fn assignment_or_ternary(&mut self) -> Value {
        self.blanks();
        let start = self.at;
        if let Some(name) = self.name()
            && self.is_at_operator()
        {
            for operator in ASSIGNMENTS {
                if self.operator(operator) {
                    let right = self.assignment()?;
                    let value = match operator.strip_suffix('=') {
                        Some("") | None => right,
                        Some(binary) => {
                            let left = self.variable(name)?;
                            self.apply(binary, left, right)?
                        }
                    };
                    return self.store(name, value);
                }
            }
        }
        self.at = start;
        self.ternary()
    }

    fn ternary(&mut self) -> Value {
        let condition = self.binary(1)?;
        if !self.operator("?") {
            return Ok(condition);
        }
        let taken = self.skipping(condition == 0, Self::comma)?;
        if !self.operator(":") {
            return Err(String::from("syntax error: \"?\" without \":\""));
        }
        let other = self.skipping(condition != 0, Self::assignment)?;
        Ok(if condition != 0 { taken } else { other })
    }

    fn skipping(&mut self, skip: bool, inner: fn(&mut Self) -> Value) -> Value {
        self.skip += usize::from(skip);
        let value = inner(self);
        self.skip -= usize::from(skip);
        value
    }

    /// Operators that bind at least as tightly as `least`, by precedence climbing: one frame of stack for a run of them.
    fn binary(&mut self, least: u8) -> Value {
        let mut left = self.unary()?;
        while let Some((operator, binding)) = self.binary_operator(least) {
            left = match operator {
                "&&" | "||" => {
                    let decided = (left != 0) == (operator == "||");
                    self.skip += usize::from(decided);
                    let right = self.binary(binding + 1);
                    self.skip -= usize::from(decided);
                    let right = right? != 0;
                    i64::from(if decided { left != 0 } else { right })
                }
                _ => {
                    let right = self.binary(binding + 1)?;
                    self.apply(operator, left, right)?
                }
            };
        }
        Ok(left)
    }

    fn binary_operator(&mut self, least: u8) -> Option<(&'static str, u8)> {
        if !self.is_at_operator() {
            return None;
        }
        let mut operators = OPERATORS.iter().filter(|(_, binding)| *binding >= least);
        operators.find(|(operator, _)| self.operator(operator)).copied()
    }

    fn apply(&self, operator: &str, left: i64, right: i64) -> Value {
        Ok(match operator {
            "|" => left | right,
            "^" => left ^ right,
            "&" => left & right,
            "==" => i64::from(left == right),
            "!=" => i64::from(left != right),
            "<=" => i64::from(left <= right),
            ">=" => i64::from(left >= right),
            "<" => i64::from(left < right),
            ">" => i64::from(left > right),
            // A shift by the width or more is undefined in C; the processors' answer is the count's low bits.
            "<<" => left.wrapping_shl(right as u32),
            ">>" => left.wrapping_shr(right as u32),
            "+" => left.wrapping_add(right),
            "-" => left.wrapping_sub(right),
            "*" => left.wrapping_mul(right),
            "/" | "%" if right == 0 && self.skip > 0 => 0,
            "/" | "%" if right == 0 => return Err(String::from("division by zero")),
            "/" => left.wrapping_div(right),
            _ => left.wrapping_rem(right),
        })
    }

    fn unary(&mut self) -> Value {
        self.deeper(Self::signed_or_operand)
    }

    fn signed_or_operand(&mut self) -> Value {
        self.blanks();
        if self.operator("++") {
            return self.step(1);
        }
        if self.operator("--") {
            return self.step(-1);
        }
        let Some(byte) = self.text.get(self.at).copied() else {
            return Err(String::from("syntax error: missing operand"));
        };
        match byte {
            b'+' | b'-' | b'!' | b'~' => {
                self.at += 1;
                let value = self.unary()?;
                Ok(match byte {
                    b'-' => value.wrapping_neg(),
                    b'!' => i64::from(value == 0),
                    b'~' => !value,
                    _ => value,
                })
            }
            b'(' => {
                self.at += 1;
                let value = self.comma()?;
                if self.operator(")") { Ok(value) } else { Err(String::from("syntax error: missing \")\"")) }
            }
            b'0'..=b'9' => self.number(),
            _ => {
                let Some(name) = self.name() else {
                    return Err(format!("syntax error near \"{}\"", Safe(&self.text[self.at..])));
                };
                let value = self.variable(name)?;
                for (operator, step) in [("++", 1), ("--", -1)] {
                    if self.operator(operator) {
                        self.store(name, value.wrapping_add(step))?;
                        break;
                    }
                }
                Ok(value)
            }
        }
    }

    /// `++name` and `--name`; before anything else the two signs are two unary operators.
    fn step(&mut self, step: i64) -> Value {
        self.blanks();
        match self.name() {
            Some(name) => {
                let value = self.variable(name)?.wrapping_add(step);
                self.store(name, value)
            }
            // Twice the same sign changes nothing.
            None => self.unary(),
        }
    }

    fn name(&mut self) -> Option<&'a [u8]> {
        let rest = &self.text[self.at..];
        let len = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        if len == 0 || rest[0].is_ascii_digit() {
            return None;
        }
        self.at += len;
        Some(&rest[..len])
    }

    fn number(&mut self) -> Value {
        let rest = &self.text[self.at..];
        let len = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        self.at += len;
        constant(&rest[..len]).ok_or_else(|| format!("bad number \"{}\"", Safe(&rest[..len])))
    }

    /// The value of a variable, which may itself be an expression.
    fn variable(&mut self, name: &[u8]) -> Value {
        if self.skip > 0 {
            return Ok(0);
        }
        let Some(text) = self.scope.get(name)? else { return Ok(0) };
        let trimmed = text.trim_ascii();
        if let Some(value) = constant(trimmed.strip_prefix(b"-").unwrap_or(trimmed)) {
            return Ok(if trimmed.starts_with(b"-") { value.wrapping_neg() } else { value });
        }
        if self.depth >= MAX_DEPTH {
            return Err(String::from("expression nested too deeply"));
        }
        let text = text.into_owned();
        nested(&text, self.scope, self.depth + 1)
    }

    fn store(&mut self, name: &[u8], value: i64) -> Value {
        if self.skip == 0 {
            self.scope.set(name, value)?;
        }
        Ok(value)
    }
}

/// A decimal, octal or hexadecimal constant; what is too large saturates, as strtoimax(3) does.
fn constant(digits: &[u8]) -> Option<i64> {
    let (base, digits) = match digits {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        [b'0', rest @ ..] if !rest.is_empty() => (8, rest),
        _ => (10, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0i64;
    for digit in digits {
        let digit = i64::from(char::from(*digit).to_digit(base)?);
        value = value.saturating_mul(i64::from(base)).saturating_add(digit);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
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
    }

    fn value(expression: &str) -> Result<i64, String> {
        let mut map = Map::default();
        map.0.insert(b"x".to_vec(), b"7".to_vec());
        map.0.insert(b"sum".to_vec(), b"x + 1".to_vec());
        map.0.insert(b"self".to_vec(), b"self".to_vec());
        evaluate(expression.as_bytes(), &mut map)
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
        assert_eq!(value("self"), Err(String::from("expression nested too deeply")));
        for nested in ["(", "x=", "1?1:", "1?", "-"] {
            assert_eq!(value(&nested.repeat(50_000)), Err(String::from("expression nested too deeply")), "{nested}");
        }
    }
}
