//! End to end tests of the composer package, which need PHP, Yii 2 and a browser, and are skipped without Yii 2: `make test-yii2`.

mod actions;
mod quick_start;
mod widget;
