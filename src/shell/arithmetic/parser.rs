//! The grammar of expressions: C's, by precedence climbing.

use super::super::syntax::tree::{Modifier, Name, Part};
use super::{Expression, Operator, Step, constant};
use crate::output::Safe;
use crate::sys::stack;

/// Stands in the text for a `$name`. No operator or operand of an expression is or holds this.
const PLACE: u8 = 0;

/// Binary operators and how tightly they bind; longer ones before their beginnings.
const OPERATORS: [(&[u8], Binary, u8); 19] = [
    (b"||", Binary::Or, 1),
    (b"&&", Binary::And, 2),
    (b"**", Binary::Plain(Operator::Power), 11),
    (b"==", Binary::Plain(Operator::Equal), 6),
    (b"!=", Binary::Plain(Operator::Unequal), 6),
    (b"<<", Binary::Plain(Operator::ShiftLeft), 8),
    (b">>", Binary::Plain(Operator::ShiftRight), 8),
    (b"<=", Binary::Plain(Operator::LessEqual), 7),
    (b">=", Binary::Plain(Operator::GreaterEqual), 7),
    (b"<", Binary::Plain(Operator::Less), 7),
    (b">", Binary::Plain(Operator::Greater), 7),
    (b"|", Binary::Plain(Operator::BitOr), 3),
    (b"^", Binary::Plain(Operator::BitXor), 4),
    (b"&", Binary::Plain(Operator::BitAnd), 5),
    (b"+", Binary::Plain(Operator::Add), 9),
    (b"-", Binary::Plain(Operator::Subtract), 9),
    (b"*", Binary::Plain(Operator::Multiply), 10),
    (b"/", Binary::Plain(Operator::Divide), 10),
    (b"%", Binary::Plain(Operator::Remainder), 10),
];

#[derive(Clone, Copy)]
enum Binary {
    And,
    Or,
    Plain(Operator),
}

/// The operators that `=` makes an assignment of.
fn assigns(operator: &[u8]) -> bool {
    matches!(operator, b"*" | b"/" | b"%" | b"+" | b"-" | b"<<" | b">>" | b"&" | b"^" | b"|" | b"**")
}

/// Parses text.
pub fn text(text: &[u8]) -> Result<Expression, String> {
    let steps = Parser { text, at: 0, names: &mut std::iter::empty(), steps: Vec::new() }.expression()?;
    Ok(Expression::new(steps, false))
}

/// Parses what stands in `$((…))`, as far as it is text and plain parameters.
pub fn parts(parts: &[Part]) -> Option<Expression> {
    let mut text = Vec::new();
    let mut names = Vec::new();
    for part in parts {
        match part {
            Part::Literal(literal) if !literal.contains(&PLACE) => text.extend_from_slice(literal),
            Part::Parameter(parameter) if parameter.modifier == Modifier::None => {
                text.push(PLACE);
                names.push(parameter.name.clone());
            }
            _ => return None,
        }
    }
    let parameters = !names.is_empty();
    let steps = Parser { text: &text, at: 0, names: &mut names.into_iter(), steps: Vec::new() }.expression().ok()?;
    Some(Expression::new(steps, parameters))
}

pub fn too_deep() -> String {
    String::from("nested too deeply")
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    /// What the places in the text stand for, in order.
    names: &'a mut dyn Iterator<Item = Name>,
    steps: Vec<Step>,
}

type Parsed = Result<(), String>;

impl<'a> Parser<'a> {
    fn expression(mut self) -> Result<Vec<Step>, String> {
        self.blanks();
        if self.at < self.text.len() {
            self.comma()?;
            if self.at < self.text.len() {
                return Err(self.unexpected());
            }
        }
        Ok(self.steps)
    }

    fn unexpected(&self) -> String {
        match &self.text[self.at..] {
            [] => String::from("syntax error: missing operand"),
            [b'[', ..] => String::from("arrays are not supported"),
            rest => format!("syntax error near \"{}\"", Safe(rest)),
        }
    }

    /// Adds a step that goes on somewhere else, to where is told by `land`.
    fn jump(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }

    fn land(&mut self, jump: usize) {
        let here = self.steps.len();
        if let Step::And(end) | Step::Or(end) | Step::Unless(end) | Step::Jump(end) = &mut self.steps[jump] {
            *end = here;
        }
    }

    fn blanks(&mut self) {
        let blank = |byte: &&u8| byte.is_ascii_whitespace() || **byte == 11;
        self.at += self.text[self.at..].iter().take_while(blank).count();
    }

    /// Takes a byte, if it comes next, and the blanks behind it.
    fn eat(&mut self, byte: u8) -> bool {
        let next = self.text.get(self.at) == Some(&byte);
        if next {
            self.skip(1);
        }
        next
    }

    fn skip(&mut self, len: usize) {
        self.at += len;
        self.blanks();
    }

    fn deeper(&mut self, inner: fn(&mut Self) -> Parsed) -> Parsed {
        if stack::is_exhausted() { Err(too_deep()) } else { inner(self) }
    }

    fn comma(&mut self) -> Parsed {
        self.assignment()?;
        while self.eat(b',') {
            self.assignment()?;
            self.steps.push(Step::Drop);
        }
        Ok(())
    }

    fn assignment(&mut self) -> Parsed {
        let start = self.at;
        if let Some(name) = self.name()
            && let Some(operator) = self.assignment_operator()
        {
            self.deeper(Self::assignment)?;
            self.steps.push(Step::Assign(name.into(), operator));
            return Ok(());
        }
        self.at = start;
        self.binary(1)?;
        if !self.eat(b'?') {
            return Ok(());
        }
        let unless = self.jump(Step::Unless(0));
        self.deeper(Self::comma)?;
        if !self.eat(b':') {
            return Err(String::from("syntax error: \"?\" without \":\""));
        }
        let end = self.jump(Step::Jump(0));
        self.land(unless);
        self.deeper(Self::assignment)?;
        self.land(end);
        Ok(())
    }

    /// Takes `=`, or an operator with `=` behind it.
    fn assignment_operator(&mut self) -> Option<Option<Operator>> {
        let rest = &self.text[self.at..];
        if let [b'=', next @ ..] = rest
            && next.first() != Some(&b'=')
        {
            self.skip(1);
            return Some(None);
        }
        let (text, operator) = OPERATORS.iter().find_map(|(text, binary, _)| match binary {
            Binary::Plain(operator) if rest.starts_with(text) => Some((*text, *operator)),
            _ => None,
        })?;
        if !assigns(text) || rest.get(text.len()) != Some(&b'=') {
            return None;
        }
        self.skip(text.len() + 1);
        Some(Some(operator))
    }

    /// Operators that bind at least as tightly as `least`: one frame of stack for a run of them.
    fn binary(&mut self, least: u8) -> Parsed {
        self.unary()?;
        while let Some((binary, binding)) = self.binary_operator(least) {
            let jump = match binary {
                Binary::And => Some(self.jump(Step::And(0))),
                Binary::Or => Some(self.jump(Step::Or(0))),
                Binary::Plain(_) => None,
            };
            // Powers group from the right, all others from the left.
            match binary {
                Binary::Plain(Operator::Power) => self.deeper(|parser| parser.binary(11))?,
                _ => self.binary(binding + 1)?,
            }
            if let Binary::Plain(operator) = binary {
                self.steps.push(Step::Binary(operator));
            }
            if let Some(jump) = jump {
                self.steps.push(Step::Truth);
                self.land(jump);
            }
        }
        Ok(())
    }

    fn binary_operator(&mut self, least: u8) -> Option<(Binary, u8)> {
        let rest = &self.text[self.at..];
        let (text, binary, binding) = OPERATORS.iter().find(|(text, ..)| rest.starts_with(text))?;
        if *binding < least || assigns(text) && rest.get(text.len()) == Some(&b'=') {
            return None;
        }
        self.skip(text.len());
        Some((*binary, *binding))
    }

    fn unary(&mut self) -> Parsed {
        match self.text[self.at..] {
            [b'+', b'+', ..] => self.count(1),
            [b'-', b'-', ..] => self.count(-1),
            [b'+', ..] => {
                self.skip(1);
                self.deeper(Self::unary)
            }
            [operator @ (b'-' | b'!' | b'~'), ..] => {
                self.skip(1);
                self.deeper(Self::unary)?;
                self.steps.push(Step::Unary(operator));
                Ok(())
            }
            _ => self.operand(),
        }
    }

    fn operand(&mut self) -> Parsed {
        match self.text.get(self.at) {
            Some(b'(') => {
                self.skip(1);
                self.deeper(Self::comma)?;
                if self.eat(b')') { Ok(()) } else { Err(String::from("syntax error: missing \")\"")) }
            }
            Some(b'0'..=b'9') => {
                let number = self.number()?;
                self.steps.push(Step::Number(number));
                Ok(())
            }
            Some(&PLACE) => {
                let Some(name) = self.names.next() else { return Err(self.unexpected()) };
                self.skip(1);
                self.steps.push(Step::Parameter(name));
                Ok(())
            }
            _ => {
                let Some(name) = self.name() else { return Err(self.unexpected()) };
                let by = match self.text[self.at..] {
                    [b'+', b'+', ..] => 1,
                    [b'-', b'-', ..] => -1,
                    _ => {
                        self.steps.push(Step::Variable(name.into()));
                        return Ok(());
                    }
                };
                self.skip(2);
                self.steps.push(Step::Count { name: name.into(), by, after: true });
                Ok(())
            }
        }
    }

    /// `++name` and `--name`; before anything else the two signs are two unary operators, which change nothing.
    fn count(&mut self, by: i64) -> Parsed {
        self.skip(2);
        match self.name() {
            Some(name) => {
                self.steps.push(Step::Count { name: name.into(), by, after: false });
                Ok(())
            }
            None => self.deeper(Self::unary),
        }
    }

    fn name(&mut self) -> Option<&'a [u8]> {
        let name = self.digits(|_| false);
        if name.is_empty() || name[0].is_ascii_digit() {
            return None;
        }
        self.skip(name.len());
        Some(name)
    }

    fn number(&mut self) -> Result<i64, String> {
        let based = self.text[self.at..].get(self.digits(|_| false).len()) == Some(&b'#');
        let digits = if based { self.digits(|byte| matches!(byte, b'#' | b'@')) } else { self.digits(|_| false) };
        let value = constant(digits).ok_or_else(|| format!("bad number \"{}\"", Safe(digits)))?;
        self.skip(digits.len());
        Ok(value)
    }

    /// Letters, digits, underscores and what else is asked for.
    fn digits(&self, also: fn(u8) -> bool) -> &'a [u8] {
        let rest = &self.text[self.at..];
        let part = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_' || also(**byte);
        &rest[..rest.iter().take_while(part).count()]
    }
}
