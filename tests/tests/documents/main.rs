//! What the documents say is true, which needs PHP with the extension for some of it: `make test-documents`.

mod arrows;
mod commands;
mod pages;
