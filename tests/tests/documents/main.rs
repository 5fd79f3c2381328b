//! Checks that the documents are true; some need PHP with the extension (`make test-documents`).

mod arrows;
mod commands;
mod figures;
mod monitoring;
mod pages;
mod performance;
mod site;
mod sources;
mod terms;
mod twins;
mod versions;
mod workflows;
