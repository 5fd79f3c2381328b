//! End to end tests of the composer package: they need PHP, Yii 2 and a browser, and are skipped without Yii 2 (`make
//! test-yii2`).

mod actions;
mod coming_back;
mod pictures;
mod quick_start;
mod widget;
