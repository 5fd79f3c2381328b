//! How the type of an argument is declared and read.

use ext_php_rs::flags::DataType;
use ext_php_rs::types::Zval;

use crate::errors::Failure;

/// A type that a method takes as an argument.
pub(crate) trait Argument: Sized {
    /// The type that reflection shows.
    const TYPE: DataType;
    const NULLABLE: bool = false;

    /// Reads an argument. `position` counts from 1. The value is the frame's own, which code of the program cannot reach, or
    /// the target of a reference, which it can.
    fn read(value: &Zval, position: u32) -> Result<Self, Failure>;

    /// The value of an omitted argument; `None` when the argument is required.
    fn when_omitted() -> Option<Self> {
        None
    }
}
