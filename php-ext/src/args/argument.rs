//! What the type of an argument says of itself, and how it is read.

use ext_php_rs::flags::DataType;
use ext_php_rs::types::Zval;

use crate::errors::Failure;

/// Something that a method takes.
pub(crate) trait Argument: Sized {
    /// For reflection.
    const TYPE: DataType;
    const NULLABLE: bool = false;

    /// `position` counts from 1. The value is the frame's own, which code of the program cannot reach, or what a reference
    /// there leads to, which it can.
    fn read(value: &Zval, position: u32) -> Result<Self, Failure>;

    /// What it is when it was left out; `None` when it cannot be.
    fn when_omitted() -> Option<Self> {
        None
    }
}
