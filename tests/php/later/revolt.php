<?php

/**
 * A program with Revolt's loop: a question to a page and many to the gateway are open while a timer goes on, whose messages the page
 * waits for before it answers.
 *
 *   php revolt.php REGISTER CLIENT_ID REVOLT_SOURCES REGISTER_THAT_IS_MUTE
 */

declare(strict_types=1);

use PushGateway\Async\RevoltLoop;
use PushGateway\Gateway;
use PushGateway\GatewayException;
use Revolt\EventLoop;

[, Gateway::$registerAddress, $client, $revolt, $mute] = $argv;
spl_autoload_register(static function (string $class) use ($revolt): void {
    foreach (['Revolt\\' => "$revolt/src/", 'PushGateway\\Async\\' => __DIR__ . '/../../../php/gateway/src/Async/'] as $prefix => $folder) {
        if (str_starts_with($class, $prefix)) {
            require $folder . str_replace('\\', '/', substr($class, strlen($prefix))) . '.php';
        }
    }
});
if (is_file("$revolt/src/functions.php")) {
    require "$revolt/src/functions.php";
}

$said = ['online' => 0];
$open = 0;
$fiber = static function (callable $body) use (&$open): void {
    $open++;
    EventLoop::queue(static function () use ($body, &$open): void {
        $body();
        $open--;
    });
};
$ticks = 0;
$timer = EventLoop::repeat(0.01, static function () use (&$ticks, &$open, &$timer, $client): void {
    Gateway::sendToClient($client, 'tick ' . ++$ticks);
    if ($open === 0) {
        EventLoop::cancel($timer);
    }
});
$fiber(static function () use ($client, &$said): void {
    $said['answers'] = RevoltLoop::await(Gateway::later('ask', [$client, 'how many?']));
});
for ($i = 0; $i < 100; $i++) {
    $fiber(static function () use ($client, &$said): void {
        $said['online'] += RevoltLoop::await(Gateway::later('isOnline', [$client]));
    });
}
class Mute extends Gateway
{
    public static $registerAddress;
    public static $connectTimeout = 0.3;
}
Mute::$registerAddress = $mute;
$fiber(static function () use (&$said): void {
    try {
        RevoltLoop::await(Mute::later('isUidOnline', ['anna']));
    } catch (GatewayException $e) {
        $said['mute'] = get_class($e);
    }
});
EventLoop::run();
echo json_encode($said);
