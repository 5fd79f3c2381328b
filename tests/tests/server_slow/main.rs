//! End to end tests that need only the server, and wait for a minute or use up what the machine has (`make
//! test-server-slow`).

mod inbox_kills;
mod limits_of_the_machine;
mod register_logins;
