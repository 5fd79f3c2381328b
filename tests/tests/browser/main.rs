//! End to end tests that need a real browser, and PHP for the pages (`make test-browser`).

mod asks;
mod browser_client;
mod bursts;
mod coming_back;
mod dashboard;
mod demo_in_browser;
mod inbox;
mod ipv6;
mod pictures;
mod plain_servers;
mod readme;
mod recipes;
mod recipes_in_frameworks;
mod traces;
