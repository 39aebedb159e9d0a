//! The expression of `[[ … ]]`, as ksh and bash have it.

use super::super::lexer::{Opened, Operator, Parse, Parser, Token};
use super::super::tree::{Comparison, Condition, Part, Word};
use super::super::word::Place;

impl Parser<'_> {
    /// Behind `[[`, up to and with `]]`.
    pub(super) fn test_expression(&mut self, opened: Opened) -> Parse<Condition> {
        let condition = self.test_or(opened)?;
        let token = self.take()?;
        if token.plain() == Some(b"]]") { Ok(condition) } else { self.expected("]]", opened, &token) }
    }

    fn test_or(&mut self, opened: Opened) -> Parse<Condition> {
        let mut left = self.test_and(opened)?;
        while self.take_operator(Operator::OrIf)? {
            left = Condition::Or(Box::new(left), Box::new(self.test_and(opened)?));
        }
        Ok(left)
    }

    fn test_and(&mut self, opened: Opened) -> Parse<Condition> {
        let mut left = self.test_term(opened)?;
        while self.take_operator(Operator::AndIf)? {
            left = Condition::And(Box::new(left), Box::new(self.test_term(opened)?));
        }
        Ok(left)
    }

    fn test_term(&mut self, opened: Opened) -> Parse<Condition> {
        self.deeper(|parser| {
            parser.blank_lines()?;
            let term = if parser.at_word(b"!")? {
                parser.take()?;
                Condition::Not(Box::new(parser.test_term(opened)?))
            } else if parser.take_operator(Operator::Open)? {
                let inner = parser.test_or(opened)?;
                parser.expect_operator(Operator::Close, opened)?;
                inner
            } else {
                parser.test_primary(opened)?
            };
            parser.blank_lines()?;
            Ok(term)
        })
    }

    fn test_primary(&mut self, opened: Opened) -> Parse<Condition> {
        let left = self.test_operand(opened)?;
        let unary =
            left.plain().filter(|text| matches!(text, [b'-', letter] if b"abcdefghkLnNoOprsStuvwxzG".contains(letter)));
        let unary = unary.map(<[u8]>::to_vec);
        let comparison = match self.token()? {
            Token::Operator(Operator::Less) => Comparison::Test(b"<".to_vec()),
            Token::Operator(Operator::Great) => Comparison::Test(b">".to_vec()),
            Token::Word(word) => match word.plain() {
                Some(b"=" | b"==" | b"!=") => Comparison::Pattern,
                Some(b"=~") => Comparison::Regex,
                Some(text @ (b"-eq" | b"-ne" | b"-lt" | b"-le" | b"-gt" | b"-ge" | b"-ef" | b"-nt" | b"-ot")) => {
                    Comparison::Test(text.to_vec())
                }
                _ if unary.is_some() => {
                    return Ok(Condition::Unary(unary.unwrap_or_default(), self.test_operand(opened)?));
                }
                _ => return Ok(Condition::Text(left)),
            },
            _ => return Ok(Condition::Text(left)),
        };
        let token = self.take()?;
        let right = match comparison {
            Comparison::Regex => self.regex_operand(opened)?,
            _ => self.test_operand(opened)?,
        };
        let condition = Condition::Binary(left, comparison, right);
        Ok(if token.plain() == Some(b"!=") { Condition::Not(Box::new(condition)) } else { condition })
    }

    fn test_operand(&mut self, opened: Opened) -> Parse<Word> {
        match self.take()? {
            Token::Word(word) if word.plain() != Some(b"]]") => Ok(word),
            Token::Number(number) => {
                Ok(Word { parts: vec![Part::Literal(number.to_string().into_bytes())], assignment: false })
            }
            Token::End => self.expected("]]", opened, &Token::End),
            token => self.unexpected(&token),
        }
    }

    /// A regular expression, in which parentheses and `|` are its own.
    fn regex_operand(&mut self, opened: Opened) -> Parse<Word> {
        while matches!(self.peek()?, Some(b' ' | b'\t')) {
            self.bump();
        }
        match self.peek()? {
            None | Some(b'\n') => self.test_operand(opened),
            Some(_) => self.word_in(Place::Regex),
        }
    }
}
