<?php

// An application of Laravel 8 without anything that the recipe does not need, as `laravel new` would have it otherwise. The
// recipe's files are laid over it. LARAVEL_AUTOLOAD names the autoloader of another Laravel than Debian's.

use App\Console\Kernel as ConsoleKernel;
use App\Exceptions\Handler;
use App\Http\Kernel as HttpKernel;
use Illuminate\Contracts\Console\Kernel as ConsoleContract;
use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Contracts\Http\Kernel as HttpContract;
use Illuminate\Foundation\Application;

// Laravel 8 is older than PHP 8.2, and would report each use of what is deprecated there.
error_reporting(E_ALL & ~E_DEPRECATED);
require getenv('LARAVEL_AUTOLOAD') ?: '/usr/share/php/Illuminate/autoload.php';
spl_autoload_register(function (string $class): void {
    $file = __DIR__ . '/../' . lcfirst(str_replace('\\', '/', $class)) . '.php';
    is_file($file) && require $file;
});

$app = new Application(dirname(__DIR__));
$app->singleton(HttpContract::class, HttpKernel::class);
$app->singleton(ConsoleContract::class, ConsoleKernel::class);
$app->singleton(ExceptionHandler::class, Handler::class);

return $app;
