//! The positional parameters, from which `shift` takes the first ones again and again.

use std::ops::Deref;
use std::rc::Rc;

use super::super::Text;

/// Dereferences to `$1` and on.
#[derive(Clone, Default)]
pub struct Positional {
    /// Shared with the subshells that take a copy.
    words: Rc<Vec<Text>>,
    /// How many at the start are no longer there. They go together, so that shifting them all takes linear time.
    shifted: usize,
}

impl Positional {
    /// The parameters of a function: the words of its call without the first.
    pub fn of_call(words: Vec<Text>) -> Positional {
        Positional { shifted: words.len().min(1), words: Rc::new(words) }
    }

    /// Drops the first `count`, or as many as there are.
    pub fn shift(&mut self, count: usize) {
        self.shifted = self.shifted.saturating_add(count).min(self.words.len());
        if self.shifted > self.words.len() / 2
            && let Some(words) = Rc::get_mut(&mut self.words)
        {
            words.drain(..self.shifted);
            self.shifted = 0;
        }
    }
}

impl From<Vec<Text>> for Positional {
    fn from(words: Vec<Text>) -> Positional {
        Positional { words: Rc::new(words), shifted: 0 }
    }
}

impl Deref for Positional {
    type Target = [Text];

    fn deref(&self) -> &[Text] {
        &self.words[self.shifted..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts() {
        let word = |number: u8| vec![b'0' + number];
        let mut positional = Positional::of_call((0..6).map(word).collect());
        assert_eq!(positional.len(), 5);
        assert_eq!(positional[0], b"1");
        positional.shift(2);
        assert_eq!(*positional, [word(3), word(4), word(5)]);
        positional.shift(1);
        assert_eq!(*positional, [word(4), word(5)]);
        positional.shift(9);
        assert!(positional.is_empty());
    }
}
