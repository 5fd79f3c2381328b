<?php

/**
 * Requests that end as they do in Laravel Octane: its own event is dispatched to the listener of docs/long-running.md.
 *
 *   php octane.php REGISTER UID LARAVEL_AUTOLOADER OCTANE_SOURCES FOLDER_OF_THE_RECIPE
 */

declare(strict_types=1);

use App\Listeners\FlushPushes;
use Illuminate\Events\Dispatcher;
use Illuminate\Foundation\Application;
use Illuminate\Http\Request;
use Illuminate\Http\Response;
use Laravel\Octane\Events\RequestTerminated;

[, Gateway::$registerAddress, $uid, $laravel, $octane, $recipe] = $argv;
require $laravel;
spl_autoload_register(static function (string $class) use ($octane, $recipe): void {
    foreach (['Laravel\\Octane\\' => "$octane/src/", 'App\\' => "$recipe/app/"] as $prefix => $folder) {
        $file = $folder . str_replace('\\', '/', substr($class, strlen($prefix))) . '.php';
        if (str_starts_with($class, $prefix) && is_file($file)) {
            require $file;
        }
    }
});
// Nothing but the listener waits.
ini_set('gateway.flush_timeout', '5');

$app = new Application($recipe);
$events = new Dispatcher($app);
$events->listen(RequestTerminated::class, FlushPushes::class);
for ($request = 1; $request <= 50; $request++) {
    for ($i = 0; $i < 3; $i++) {
        Gateway::sendToUid($uid, "request $request message $i");
    }
    $events->dispatch(new RequestTerminated($app, $app, Request::create('/'), new Response()));
    $acked[] = Gateway::stats()['acked'];
}
echo json_encode($acked);
