//! `let`, as ksh, bash and busybox have it.

use super::super::{Flow, Shell, Text, arithmetic};
use crate::output::Safe;

/// True where the last expression is not 0.
pub fn let_expressions(shell: &mut Shell<'_>, args: &[Text]) -> Flow<u8> {
    let expressions = args.get(1..).unwrap_or_default();
    if expressions.is_empty() {
        shell.complain("let: missing expression");
        return Ok(1);
    }
    let mut value = 0;
    for expression in expressions {
        value = match arithmetic::evaluate(expression, shell) {
            Ok(value) => value,
            Err(message) => {
                shell.complain(format_args!("let: {}: {message}", Safe(expression)));
                return Ok(2);
            }
        };
    }
    Ok(u8::from(value == 0))
}
