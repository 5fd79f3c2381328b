<?php

declare(strict_types=1);

// Loads the package by composer, or where that has installed nothing by the autoloader of the folder that has all packages.

$composer = dirname(__DIR__) . '/vendor/autoload.php';
if (is_file($composer)) {
    require $composer;
} else {
    (require getenv('PACKAGES_AUTOLOAD') ?: dirname(__DIR__, 2) . '/autoload.php')(dirname(__DIR__));
}
