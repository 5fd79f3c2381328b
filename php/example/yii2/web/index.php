<?php

declare(strict_types=1);

// The front controller, and the router script of PHP's built-in server.

require __DIR__ . '/../../shared/environment.php';

$path = rawurldecode(strtok($_SERVER['REQUEST_URI'], '?'));
if (PHP_SAPI === 'cli-server' && !str_ends_with($path, '.php') && is_file(__DIR__ . $path)) {
    return false;
}

try {
    $data = example\dataDirectory('yii2');

    // Yii publishes its assets below DEMO_DATA, where the web server does not look.
    if (str_starts_with($path, '/assets/') && !str_contains($path, '..') && example\sendAsset($data . $path)) {
        return;
    }

    $vendor = require __DIR__ . '/../bootstrap.php';
    $config = require __DIR__ . '/../config/web.php';
} catch (RuntimeException $e) {
    example\stop($e->getMessage());
}

// The built-in server puts the requested path here, and Yii needs the script's.
$_SERVER['SCRIPT_FILENAME'] = __FILE__;
$_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = '/index.php';

(new yii\web\Application($config))->run();
