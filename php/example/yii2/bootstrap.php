<?php

declare(strict_types=1);

// Loads Yii from the first place that has it, and returns the vendor directory that belongs to it.

defined('YII_DEBUG') or define('YII_DEBUG', (bool) getenv('YII_DEBUG'));

return (static function (): string {
    $path = getenv('YII2_PATH');
    if ($path) {
        $places = ["$path/framework/Yii.php" => "$path/vendor", "$path/Yii.php" => dirname($path, 2)];
    } else {
        $places = [];
        foreach ([__DIR__, dirname(__DIR__, 2), dirname(__DIR__, 3)] as $directory) {
            $places["$directory/vendor/yiisoft/yii2/Yii.php"] = "$directory/vendor";
        }
    }

    foreach ($places as $yii => $vendor) {
        if (is_file($yii)) {
            if (is_file("$vendor/autoload.php")) {
                require "$vendor/autoload.php";
            }
            require $yii;

            return $vendor;
        }
    }

    throw new RuntimeException(
        "Yii 2 was not found. These files were looked for:\n\n    " . implode("\n    ", array_keys($places)) . "\n\n"
        . "Either name it in the environment when you start the server: a checkout of\n"
        . "https://github.com/yiisoft/yii2, or the directory vendor/yiisoft/yii2 of some application,\n\n"
        . "    YII2_PATH=/path/to/yii2 php -S 127.0.0.1:8080 -t php/example/yii2/web php/example/yii2/web/index.php\n\n"
        . "or install it for this example:\n\n"
        . '    composer install --working-dir=php/example/yii2'
    );
})();
