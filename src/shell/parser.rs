//! Tokens to commands: the grammar of POSIX.1-2024, XCU 2.10.

use std::rc::Rc;

use super::builtins;
use super::lexer::{Parse, Parser, Token};
use super::tree::{Arm, Command, Connector, Item, Kind, List, Pipeline, Redirect, RedirectKind, Word};
use super::word::{assignment, assignment_operand, is_name};

/// Commands whose operands may be assignments (POSIX.1-2024, XCU 2.9.1.1: declaration utilities).
const DECLARATIONS: [&[u8]; 5] = [b"export", b"readonly", b"local", b"declare", b"typeset"];

/// Words that end a list where a command could begin.
const TERMINATORS: [&[u8]; 8] = [b"then", b"else", b"elif", b"fi", b"do", b"done", b"esac", b"}"];

impl Parser<'_> {
    /// The next complete command of the script: what stands up to a newline that ends a list. `None` at the end.
    pub fn next_command(&mut self) -> Parse<Option<List>> {
        self.start_command();
        match self.token()? {
            Token::End => return Ok(None),
            Token::Newline => {
                self.take()?;
                return Ok(Some(List::default()));
            }
            _ => {}
        }
        let list = self.list()?;
        match self.take()? {
            Token::Newline | Token::End => Ok(Some(list)),
            token => self.unexpected(&token),
        }
    }

    /// All the commands there are.
    pub(super) fn program(&mut self) -> Parse<List> {
        let list = self.compound_list_or_nothing()?;
        match self.take()? {
            Token::End => Ok(list),
            token => self.unexpected(&token),
        }
    }

    /// And-or lists up to a newline.
    fn list(&mut self) -> Parse<List> {
        let mut items = Vec::new();
        loop {
            let (item, separated) = self.item()?;
            items.push(item);
            if !separated || matches!(self.token()?, Token::Newline | Token::End) || self.at_terminator()? {
                return Ok(List { items });
            }
        }
    }

    /// And-or lists separated by newlines as well, up to a word or operator that ends them.
    fn compound_list(&mut self) -> Parse<List> {
        let list = self.compound_list_or_nothing()?;
        if list.items.is_empty() {
            let token = self.take()?;
            return self.unexpected(&token);
        }
        Ok(list)
    }

    pub(super) fn compound_list_or_nothing(&mut self) -> Parse<List> {
        let mut items = Vec::new();
        loop {
            self.newlines()?;
            if self.at_terminator()? {
                return Ok(List { items });
            }
            let (item, separated) = self.item()?;
            items.push(item);
            if !separated && *self.token()? != Token::Newline {
                return Ok(List { items });
            }
        }
    }

    fn at_terminator(&mut self) -> Parse<bool> {
        let token = self.token()?;
        Ok(match token {
            Token::End => true,
            Token::Operator(operator) => matches!(*operator, ")" | ";;" | ";&"),
            token => token.plain().is_some_and(|text| TERMINATORS.contains(&text)),
        })
    }

    fn newlines(&mut self) -> Parse<()> {
        while *self.token()? == Token::Newline {
            self.take()?;
        }
        Ok(())
    }

    /// An and-or list and the `;` or `&` behind it, if there is one.
    fn item(&mut self) -> Parse<(Item, bool)> {
        let start = self.token_start()?;
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            let connector = match self.token()? {
                token if token.is("&&") => Connector::And,
                token if token.is("||") => Connector::Or,
                _ => break,
            };
            self.take()?;
            self.newlines()?;
            rest.push((connector, self.pipeline()?));
        }
        let end = self.token_start()?;
        let text = self.text.get(start..end).unwrap_or_default().trim_ascii().into();
        let background = self.token()?.is("&");
        let separated = background || self.token()?.is(";");
        if separated {
            self.take()?;
        }
        Ok((Item { first, rest, background, text }, separated))
    }

    fn pipeline(&mut self) -> Parse<Pipeline> {
        self.expand_aliases()?;
        let mut negated = false;
        while self.token()?.plain() == Some(b"!") {
            self.take()?;
            negated = !negated;
            self.expand_aliases()?;
        }
        let mut commands = vec![Rc::new(self.command()?)];
        while self.token()?.is("|") {
            self.take()?;
            self.newlines()?;
            commands.push(Rc::new(self.command()?));
        }
        Ok(Pipeline { negated, commands })
    }

    fn command(&mut self) -> Parse<Command> {
        self.deeper(|parser| {
            parser.expand_aliases()?;
            let line = parser.line();
            match parser.compound()? {
                None => parser.simple(line),
                Some(kind) => Ok(Command { kind, redirects: parser.redirects()?, line }),
            }
        })
    }

    /// A compound command, where one begins here.
    fn compound(&mut self) -> Parse<Option<Kind>> {
        let token = self.token()?;
        if token.is("(") {
            self.take()?;
            let list = self.compound_list()?;
            self.expect_operator(")")?;
            return Ok(Some(Kind::Subshell(list)));
        }
        let Some(word) = token.plain() else { return Ok(None) };
        Ok(Some(match word {
            b"{" => {
                self.take()?;
                let list = self.compound_list()?;
                self.expect(b"}")?;
                Kind::Brace(list)
            }
            b"if" => {
                self.take()?;
                self.conditional()?
            }
            b"while" | b"until" => {
                let until = word == b"until";
                self.take()?;
                let condition = self.compound_list()?;
                Kind::While { until, condition, body: self.do_group()? }
            }
            b"for" => {
                self.take()?;
                self.for_loop()?
            }
            b"case" => {
                self.take()?;
                self.case()?
            }
            word if TERMINATORS.contains(&word) => {
                let token = self.take()?;
                return self.unexpected(&token);
            }
            _ => return Ok(None),
        }))
    }

    fn conditional(&mut self) -> Parse<Kind> {
        let mut branches = Vec::new();
        loop {
            let condition = self.compound_list()?;
            self.expect(b"then")?;
            branches.push((condition, self.compound_list()?));
            let token = self.take()?;
            match token.plain() {
                Some(b"elif") => {}
                Some(b"else") => {
                    let otherwise = Some(self.compound_list()?);
                    self.expect(b"fi")?;
                    return Ok(Kind::If { branches, otherwise });
                }
                Some(b"fi") => return Ok(Kind::If { branches, otherwise: None }),
                _ => return self.expected("fi", &token),
            }
        }
    }

    fn do_group(&mut self) -> Parse<List> {
        self.expect(b"do")?;
        let body = self.compound_list()?;
        self.expect(b"done")?;
        Ok(body)
    }

    fn for_loop(&mut self) -> Parse<Kind> {
        let token = self.take()?;
        let Some(name) = token.plain().filter(|name| is_name(name)).map(<[u8]>::to_vec) else {
            return match &token {
                Token::Word(_) => self.error("syntax error: bad for loop variable"),
                token => self.unexpected(token),
            };
        };
        let mut words = None;
        if self.token()?.is(";") {
            self.take()?;
        }
        self.newlines()?;
        if self.token()?.plain() == Some(b"in") {
            self.take()?;
            let mut list = Vec::new();
            while let Token::Word(_) | Token::Number(_) = self.token()? {
                if let Token::Word(word) = self.take()? {
                    list.push(word);
                }
            }
            match self.take()? {
                Token::Newline => {}
                token if token.is(";") => {}
                token => return self.unexpected(&token),
            }
            self.newlines()?;
            words = Some(list);
        }
        self.expand_aliases()?;
        Ok(Kind::For { name, words, body: self.do_group()? })
    }

    fn case(&mut self) -> Parse<Kind> {
        let word = self.operand()?;
        self.newlines()?;
        self.expect(b"in")?;
        let mut arms = Vec::new();
        loop {
            self.newlines()?;
            if self.token()?.plain() == Some(b"esac") {
                self.take()?;
                return Ok(Kind::Case { word, arms });
            }
            if self.token()?.is("(") {
                self.take()?;
            }
            let mut patterns = vec![self.operand()?];
            while self.token()?.is("|") {
                self.take()?;
                patterns.push(self.operand()?);
            }
            self.expect_operator(")")?;
            let body = self.compound_list_or_nothing()?;
            let falls_through = self.token()?.is(";&");
            arms.push(Arm { patterns, body, falls_through });
            match self.take()? {
                token if token.is(";;") || token.is(";&") => {}
                token if token.plain() == Some(b"esac") => return Ok(Kind::Case { word, arms }),
                token => return self.expected("esac", &token),
            }
        }
    }

    fn operand(&mut self) -> Parse<Word> {
        match self.take()? {
            Token::Word(word) => Ok(word),
            token => self.unexpected(&token),
        }
    }

    fn expect(&mut self, word: &[u8]) -> Parse<()> {
        self.expand_aliases()?;
        let token = self.take()?;
        if token.plain() == Some(word) {
            return Ok(());
        }
        self.expected(&String::from_utf8_lossy(word), &token)
    }

    fn expect_operator(&mut self, operator: &str) -> Parse<()> {
        let token = self.take()?;
        if token.is(operator) { Ok(()) } else { self.expected(operator, &token) }
    }

    fn expected<T>(&self, what: &str, token: &Token) -> Parse<T> {
        self.error(format!("syntax error: unexpected {token} (expecting \"{what}\")"))
    }

    fn simple(&mut self, line: u32) -> Parse<Command> {
        let mut assignments = Vec::new();
        let mut words: Vec<Word> = Vec::new();
        let mut redirects = Vec::new();
        let mut declares = false;
        loop {
            match (words.is_empty(), assignments.is_empty() && redirects.is_empty()) {
                (true, true) => self.expand_aliases()?,
                (true, false) => self.expand_name_aliases()?,
                (false, _) => self.expand_alias_after_blank()?,
            }
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            match self.token()? {
                Token::Word(_) | Token::Number(_) => {}
                token if token.is("(") && words.len() == 1 && assignments.is_empty() && redirects.is_empty() => {
                    return self.function(&words, line);
                }
                _ => break,
            }
            let Token::Word(word) = self.take()? else { continue };
            if words.is_empty()
                && let Some(assignment) = assignment(&word)
            {
                assignments.push(assignment);
                continue;
            }
            let declaration = word.plain().is_some_and(|name| DECLARATIONS.contains(&name));
            let prefix = words.iter().all(|word| word.plain() == Some(b"command"));
            words.push(if declares { assignment_operand(word) } else { word });
            declares |= declaration && prefix;
        }
        if assignments.is_empty() && words.is_empty() && redirects.is_empty() {
            let token = self.take()?;
            return self.unexpected(&token);
        }
        Ok(Command { kind: Kind::Simple { assignments, words }, redirects, line })
    }

    fn function(&mut self, words: &[Word], line: u32) -> Parse<Command> {
        self.take()?;
        self.expect_operator(")")?;
        // A special builtin would be found first (POSIX.1-2024, XCU 2.9.5).
        let free = |name: &&[u8]| is_name(name) && !builtins::find(name).is_some_and(|builtin| builtin.special);
        let name = words.first().and_then(Word::plain).filter(free).map(<[u8]>::to_vec);
        let Some(name) = name else { return self.error("syntax error: bad function name") };
        self.newlines()?;
        let line_of_body = self.line();
        let Some(kind) = self.compound()? else {
            let token = self.take()?;
            return self.unexpected(&token);
        };
        let body = Rc::new(Command { kind, redirects: self.redirects()?, line: line_of_body });
        Ok(Command { kind: Kind::Function { name, body }, redirects: Vec::new(), line })
    }

    fn redirects(&mut self) -> Parse<Vec<Redirect>> {
        let mut redirects = Vec::new();
        while let Some(redirect) = self.redirect()? {
            redirects.push(redirect);
        }
        Ok(redirects)
    }

    fn redirect(&mut self) -> Parse<Option<Redirect>> {
        let number = match self.token()? {
            Token::Number(number) => Some(*number),
            Token::Operator(operator) if operator.starts_with(['<', '>']) => None,
            _ => return Ok(None),
        };
        if number.is_some() {
            self.take()?;
        }
        let Token::Operator(operator) = self.take()? else {
            return self.error("syntax error: redirection without an operator");
        };
        let fd = number.unwrap_or(if operator.starts_with('<') { 0 } else { 1 });
        let kind = match operator {
            "<<" => RedirectKind::Here(self.here_document(false)?),
            "<<-" => RedirectKind::Here(self.here_document(true)?),
            _ => {
                let word = self.operand()?;
                match operator {
                    "<" => RedirectKind::Read(word),
                    ">" => RedirectKind::Write { target: word, clobber: false },
                    ">|" => RedirectKind::Write { target: word, clobber: true },
                    ">>" => RedirectKind::Append(word),
                    "<>" => RedirectKind::ReadWrite(word),
                    _ => RedirectKind::Duplicate(word),
                }
            }
        };
        Ok(Some(Redirect { fd, kind }))
    }
}
