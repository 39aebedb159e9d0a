//! `[[ … ]]` and `((…))`, as ksh and bash have them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::super::expand::pattern;
use super::super::syntax::tree::{Arithmetic, Comparison, Condition, Word};
use super::super::{Flow, Interrupt, Shell, Text};
use crate::applet::{self, primary};
use crate::output::Safe;
use crate::sys::regex::{Flags, Regex};

impl Shell<'_> {
    /// Whether the condition holds; 2 where it cannot be said.
    pub(in crate::shell) fn run_condition(&mut self, condition: &Condition) -> Flow {
        self.status = match self.holds(condition)? {
            Ok(truth) => u8::from(!truth),
            Err(message) => {
                self.complain(format_args!("[[: {message}"));
                2
            }
        };
        self.check_errexit()
    }

    fn holds(&mut self, condition: &Condition) -> Flow<Result<bool, String>> {
        match condition {
            Condition::Or(left, right) => match self.holds(left)? {
                Ok(false) => self.holds(right),
                known => Ok(known),
            },
            Condition::And(left, right) => match self.holds(left)? {
                Ok(true) => self.holds(right),
                known => Ok(known),
            },
            Condition::Not(inner) => Ok(self.holds(inner)?.map(|truth| !truth)),
            Condition::Text(word) => Ok(Ok(!self.expand_single(word)?.is_empty())),
            Condition::Unary(operator, word) => {
                let operand = self.expand_single(word)?;
                Ok(self.unary(operator, &operand))
            }
            Condition::Binary(left, comparison, right) => {
                let left = self.expand_single(left)?;
                self.compare(&left, comparison, right)
            }
        }
    }

    fn unary(&mut self, operator: &[u8], operand: &[u8]) -> Result<bool, String> {
        match operator {
            b"-v" => Ok(self.variable(operand).is_some()),
            b"-o" => Ok(self.options.list().iter().any(|(name, on)| name.as_bytes() == operand && *on)),
            b"-a" => self.unary(b"-e", operand),
            operator => match primary::unary(&self.files, OsStr::from_bytes(operator), OsStr::from_bytes(operand)) {
                Some(truth) => truth.map_err(message),
                None => Err(format!("{}: unknown operator", Safe(operator))),
            },
        }
    }

    fn compare(&mut self, left: &[u8], comparison: &Comparison, right: &Word) -> Flow<Result<bool, String>> {
        Ok(match comparison {
            Comparison::Pattern => Ok(pattern::matches(&self.expand_pattern(right)?, left, self.encoding(left))),
            Comparison::Regex => {
                let regex = expression(&self.expand_pattern(right)?);
                let flags = Flags { extended: true, ..Flags::default() };
                Regex::new(&regex, flags)
                    .map(|mut regex| regex.find(left, 0, left.len()).is_some())
                    .map_err(|error| Safe(error.as_bytes()).to_string())
            }
            Comparison::Test(operator) => {
                let right = self.expand_single(right)?;
                let operator = OsStr::from_bytes(operator);
                match operator.as_bytes() {
                    // As in `((…))`: expressions.
                    b"-eq" | b"-ne" | b"-lt" | b"-le" | b"-gt" | b"-ge" => {
                        let (left, right) = (self.evaluate(left)?, self.evaluate(&right)?);
                        let (left, right) = (left.to_string(), right.to_string());
                        primary::binary(&self.files, OsStr::new(&left), operator, OsStr::new(&right)).map_err(message)
                    }
                    _ => {
                        let operands = (OsStr::from_bytes(left), OsStr::from_bytes(&right));
                        primary::binary(&self.files, operands.0, operator, operands.1).map_err(message)
                    }
                }
            }
        })
    }

    /// `((…))`: true unless zero. An error in it is a failure like any other, as in bash and mksh.
    pub(in crate::shell) fn run_arithmetic(&mut self, arithmetic: &Arithmetic) -> Flow {
        self.status = match self.arithmetic(arithmetic) {
            Err(Interrupt::Abort) => 1,
            value => u8::from(value? == 0),
        };
        self.check_errexit()
    }
}

fn message(error: applet::Error) -> String {
    match error {
        applet::Error::Message(message) | applet::Error::Usage(message) => message,
        other => format!("{other:?}"),
    }
}

/// An expanded pattern, in which a backslash stands before what was quoted, as a regular expression.
fn expression(pattern: &[u8]) -> Text {
    let mut regex = Text::with_capacity(pattern.len());
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.as_slice().first()) {
            // A backslash before what is nothing special may mean something else.
            (b'\\', Some(next)) if !br".[]{}()*+?^$|\".contains(next) => {}
            (b'\\', Some(next)) => {
                regex.extend([b'\\', *next]);
                bytes.next();
            }
            _ => regex.push(*byte),
        }
    }
    regex
}
