//! Tokens to commands: the grammar of POSIX.1-2024, XCU 2.10, down to compound commands. Simple commands and
//! redirections are in `parser/simple.rs`, `[[ … ]]` in `parser/conditional.rs`.

mod conditional;
mod simple;

use std::rc::Rc;

use simple::errors_to_output;

use super::lexer::{Opened, Operator, Parse, ParseError, Parser, Token};
use super::tree::{Arithmetic, Arm, ArmEnd, Command, Connector, Item, Kind, List, Part, Pipeline, Timed, Word};
use super::word::is_name;

/// Words that end a list where a command could begin.
fn is_terminator(word: &[u8]) -> bool {
    matches!(word, b"then" | b"else" | b"elif" | b"fi" | b"do" | b"done" | b"esac" | b"}")
}

impl Parser<'_> {
    /// The next complete command of the script: what stands up to a newline that ends a list. `None` at the end.
    pub fn next_command(&mut self) -> Result<Option<List>, ParseError> {
        let command = self.complete_command();
        self.keep_lines();
        command.map_err(|error| *error)
    }

    fn complete_command(&mut self) -> Parse<Option<List>> {
        self.start_command();
        match self.head()? {
            Token::End => return Ok(None),
            Token::Newline => {
                self.take()?;
                return Ok(Some(List::default()));
            }
            _ => {}
        }
        let list = self.list()?;
        match self.take()? {
            Token::Newline | Token::End => {}
            token => return self.unexpected(&token),
        }
        self.end_command();
        Ok(Some(list))
    }

    /// All the commands there are.
    pub(super) fn program(&mut self) -> Parse<List> {
        let list = self.compound_list_or_nothing()?;
        match self.take()? {
            Token::End => {}
            token => return self.unexpected(&token),
        }
        self.end_command();
        Ok(list)
    }

    /// The next token where a command may begin, and so an alias or a reserved word.
    #[inline(always)]
    fn head(&mut self) -> Parse<&Token> {
        self.expand_aliases(true)?;
        self.token()
    }

    /// Whether the next token is this reserved word.
    #[inline(always)]
    fn at_word(&mut self, word: &[u8]) -> Parse<bool> {
        Ok(self.token()?.plain() == Some(word))
    }

    /// And-or lists up to a newline.
    fn list(&mut self) -> Parse<List> {
        let mut items = Vec::with_capacity(1);
        loop {
            let separated = self.item(&mut items)?;
            if !separated || matches!(self.head()?, Token::Newline | Token::End) || self.at_terminator()? {
                return Ok(List { items });
            }
        }
    }

    /// And-or lists separated by newlines as well, up to the word or operator that ends them.
    fn compound_list(&mut self, end: &str, opened: Opened) -> Parse<List> {
        let list = self.compound_list_or_nothing()?;
        if list.items.is_empty() {
            return match self.take()? {
                Token::End => self.expected(end, opened, &Token::End),
                token => self.unexpected(&token),
            };
        }
        Ok(list)
    }

    pub(super) fn compound_list_or_nothing(&mut self) -> Parse<List> {
        let mut items = Vec::with_capacity(2);
        loop {
            self.newlines()?;
            if self.at_terminator()? {
                return Ok(List { items });
            }
            let separated = self.item(&mut items)?;
            if !separated && *self.token()? != Token::Newline {
                return Ok(List { items });
            }
        }
    }

    fn at_terminator(&mut self) -> Parse<bool> {
        Ok(match self.token()? {
            Token::End => true,
            Token::Operator(operator) => {
                matches!(operator, Operator::Close | Operator::Leave | Operator::FallThrough | Operator::TryNext)
            }
            token => token.plain().is_some_and(is_terminator),
        })
    }

    /// Newlines where a command may begin behind them.
    fn newlines(&mut self) -> Parse<()> {
        while *self.head()? == Token::Newline {
            self.take()?;
        }
        Ok(())
    }

    /// Newlines where no command can begin behind them.
    fn blank_lines(&mut self) -> Parse<()> {
        while *self.token()? == Token::Newline {
            self.take()?;
        }
        Ok(())
    }

    /// Adds an and-or list. Whether there is a `;` or `&` behind it.
    fn item(&mut self, items: &mut Vec<Item>) -> Parse<bool> {
        let start = self.token_start()?;
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            let connector = match self.token()? {
                Token::Operator(Operator::AndIf) => Connector::And,
                Token::Operator(Operator::OrIf) => Connector::Or,
                _ => break,
            };
            self.take()?;
            self.newlines()?;
            rest.push((connector, self.pipeline()?));
        }
        let text = self.written(start)?;
        let background = self.take_operator(Operator::And)?;
        let separated = background || self.take_operator(Operator::Semicolon)?;
        items.push(Item { first, rest, background, text });
        Ok(separated)
    }

    fn pipeline(&mut self) -> Parse<Pipeline> {
        let mut negated = false;
        let mut timed = None;
        loop {
            match self.head()?.plain() {
                Some(b"!") => negated = !negated,
                Some(b"time") if timed.is_none() => {
                    self.take()?;
                    timed = Some(self.time_format()?);
                    continue;
                }
                _ => break,
            }
            self.take()?;
        }
        let mut commands = Vec::with_capacity(1);
        if timed.is_none() || !self.at_end_of_command()? {
            self.pipe(&mut commands)?;
        }
        Ok(Pipeline { negated, timed, commands })
    }

    /// Behind `time`.
    fn time_format(&mut self) -> Parse<Timed> {
        let portable = self.at_word(b"-p")?;
        if portable {
            self.take()?;
            if self.at_word(b"--")? {
                self.take()?;
            }
        }
        Ok(if portable { Timed::Portable } else { Timed::Usual })
    }

    fn at_end_of_command(&mut self) -> Parse<bool> {
        Ok(self.at_terminator()?
            || match self.token()? {
                Token::Newline => true,
                Token::Operator(operator) => {
                    matches!(operator, Operator::Semicolon | Operator::And | Operator::AndIf | Operator::OrIf)
                }
                _ => false,
            })
    }

    /// Commands with `|` between them.
    fn pipe(&mut self, commands: &mut Vec<Rc<Command>>) -> Parse<()> {
        loop {
            let mut command = self.command()?;
            let both = self.take_operator(Operator::PipeBoth)?;
            if both {
                Rc::get_mut(&mut command).into_iter().for_each(|command| command.redirects.push(errors_to_output()));
            }
            commands.push(command);
            if !both && !self.take_operator(Operator::Pipe)? {
                return Ok(());
            }
            self.newlines()?;
        }
    }

    fn command(&mut self) -> Parse<Rc<Command>> {
        self.deeper(|parser| {
            parser.head()?;
            let line = parser.line();
            match parser.compound()? {
                None => parser.simple(line),
                Some(kind @ Kind::Function { .. }) => Ok(Rc::new(Command { kind, redirects: Vec::new(), line })),
                Some(kind) => Ok(Rc::new(Command { kind, redirects: parser.redirects()?, line })),
            }
        })
    }

    /// A compound command, where one begins here.
    fn compound(&mut self) -> Parse<Option<Kind>> {
        let token = self.token()?;
        if token.is(Operator::Open) {
            return self.parenthesized().map(Some);
        }
        let word = match token.plain() {
            // What cannot be one of the words below.
            None => return Ok(None),
            Some(word) if word.len() > 8 => return Ok(None),
            Some(word) => word,
        };
        let opened = |by, parser: &mut Self| -> Parse<Opened> {
            let opened = Opened { by, line: parser.line() };
            parser.take()?;
            Ok(opened)
        };
        Ok(Some(match word {
            b"{" => {
                let opened = opened("{", self)?;
                let list = self.compound_list("}", opened)?;
                self.expect("}", opened)?;
                Kind::Brace(list)
            }
            b"if" => {
                let opened = opened("if", self)?;
                self.conditional(opened)?
            }
            b"while" => {
                let opened = opened("while", self)?;
                let condition = self.compound_list("do", opened)?;
                Kind::While { until: false, condition, body: self.do_group(opened)? }
            }
            b"until" => {
                let opened = opened("until", self)?;
                let condition = self.compound_list("do", opened)?;
                Kind::While { until: true, condition, body: self.do_group(opened)? }
            }
            b"for" => {
                let opened = opened("for", self)?;
                self.for_loop(opened)?
            }
            b"case" => {
                let opened = opened("case", self)?;
                self.case(opened)?
            }
            b"[[" => {
                let opened = opened("[[", self)?;
                Kind::Conditional(Box::new(self.test_expression(opened)?))
            }
            b"function" => {
                let opened = opened("function", self)?;
                self.named_function(opened)?
            }
            word if matches!(word, b"!" | b"in") || is_terminator(word) => {
                let token = self.take()?;
                return self.unexpected(&token);
            }
            _ => return Ok(None),
        }))
    }

    /// At a parenthesis: `((…))` where it can be, else a subshell.
    fn parenthesized(&mut self) -> Parse<Kind> {
        let opened = Opened { by: "(", line: self.line() };
        self.take()?;
        if let Some(parts) = self.second_parenthesis()? {
            return Ok(Kind::Arithmetic(Arithmetic::new(parts)));
        }
        let list = self.compound_list(")", opened)?;
        self.expect_operator(Operator::Close, opened)?;
        Ok(Kind::Subshell(list))
    }

    fn conditional(&mut self, opened: Opened) -> Parse<Kind> {
        let mut branches = Vec::new();
        loop {
            let condition = self.compound_list("then", opened)?;
            self.expect("then", opened)?;
            branches.push((condition, self.compound_list("fi", opened)?));
            let token = self.take()?;
            match token.plain() {
                Some(b"elif") => {}
                Some(b"else") => {
                    let otherwise = Some(self.compound_list("fi", opened)?);
                    self.expect("fi", opened)?;
                    return Ok(Kind::If { branches, otherwise });
                }
                Some(b"fi") => return Ok(Kind::If { branches, otherwise: None }),
                _ => return self.expected("fi", opened, &token),
            }
        }
    }

    fn do_group(&mut self, opened: Opened) -> Parse<List> {
        self.expect("do", opened)?;
        let body = self.compound_list("done", opened)?;
        self.expect("done", opened)?;
        Ok(body)
    }

    fn for_loop(&mut self, opened: Opened) -> Parse<Kind> {
        let token = self.take()?;
        if token.is(Operator::Open)
            && let Some(parts) = self.second_parenthesis()?
        {
            return self.counting_loop(parts, opened);
        }
        let Some(name) = token.plain().filter(|name| is_name(name)).map(<[u8]>::to_vec) else {
            return match &token {
                Token::Word(_) => self.error(opened.line, "bad for loop variable"),
                token => self.unexpected(token),
            };
        };
        let mut words = None;
        if !self.take_operator(Operator::Semicolon)? {
            self.blank_lines()?;
            if self.at_word(b"in")? {
                self.take()?;
                words = Some(self.for_words()?);
            }
        }
        self.newlines()?;
        Ok(Kind::For { name, words, body: self.do_group(opened)? })
    }

    /// Behind `in`, up to the end of the line or a semicolon.
    fn for_words(&mut self) -> Parse<Vec<Word>> {
        let mut words = Vec::new();
        loop {
            match self.take()? {
                Token::Word(word) => words.push(word),
                Token::Newline | Token::Operator(Operator::Semicolon) => return Ok(words),
                token => return self.unexpected(&token),
            }
        }
    }

    /// `for ((first; condition; next))`, as in bash.
    fn counting_loop(&mut self, parts: Vec<Part>, opened: Opened) -> Parse<Kind> {
        let mut sections = Vec::new();
        let mut section = Vec::new();
        for part in parts {
            let Part::Literal(text) = part else {
                section.push(part);
                continue;
            };
            let mut pieces = text.split(|byte| *byte == b';').peekable();
            while let Some(piece) = pieces.next() {
                section.push(Part::Literal(piece.to_vec()));
                if pieces.peek().is_some() {
                    sections.push(std::mem::take(&mut section));
                }
            }
        }
        sections.push(section);
        let Ok([first, condition, next]) = <[Vec<Part>; 3]>::try_from(sections) else {
            return self.error(opened.line, "expecting \"((first; condition; next))\"");
        };
        self.take_operator(Operator::Semicolon)?;
        self.newlines()?;
        Ok(Kind::Count {
            header: Box::new([first, condition, next].map(Arithmetic::new)),
            body: self.do_group(opened)?,
        })
    }

    fn case(&mut self, opened: Opened) -> Parse<Kind> {
        let word = self.operand()?;
        self.blank_lines()?;
        let token = self.take()?;
        if token.plain() != Some(b"in") {
            return self.expected("in", opened, &token);
        }
        let mut arms = Vec::new();
        loop {
            // A pattern is no command: no alias takes its place.
            self.blank_lines()?;
            if self.at_word(b"esac")? {
                self.take()?;
                return Ok(Kind::Case { word, arms });
            }
            let arm = self.arm(opened)?;
            arms.push(arm);
            match self.take()? {
                Token::Operator(Operator::Leave | Operator::FallThrough | Operator::TryNext) => {}
                token if token.plain() == Some(b"esac") => return Ok(Kind::Case { word, arms }),
                token => return self.expected("esac", opened, &token),
            }
        }
    }

    /// Patterns and a body, up to what ends it.
    fn arm(&mut self, opened: Opened) -> Parse<Arm> {
        if *self.token()? == Token::End {
            return self.expected("esac", opened, &Token::End);
        }
        self.take_operator(Operator::Open)?;
        let mut patterns = vec![self.operand()?];
        while self.take_operator(Operator::Pipe)? {
            patterns.push(self.operand()?);
        }
        self.expect_operator(Operator::Close, opened)?;
        let body = self.compound_list_or_nothing()?;
        let end = match self.token()? {
            Token::Operator(Operator::FallThrough) => ArmEnd::FallThrough,
            Token::Operator(Operator::TryNext) => ArmEnd::TryNext,
            _ => ArmEnd::Leave,
        };
        Ok(Arm { patterns, body, end })
    }

    fn operand(&mut self) -> Parse<Word> {
        match self.take()? {
            Token::Word(word) => Ok(word),
            token => self.unexpected(&token),
        }
    }

    fn expect(&mut self, word: &'static str, opened: Opened) -> Parse<()> {
        self.head()?;
        let token = self.take()?;
        if token.plain() == Some(word.as_bytes()) {
            return Ok(());
        }
        self.expected(word, opened, &token)
    }

    pub(super) fn expect_operator(&mut self, operator: Operator, opened: Opened) -> Parse<()> {
        let token = self.take()?;
        if token.is(operator) { Ok(()) } else { self.expected(operator.text(), opened, &token) }
    }
}
