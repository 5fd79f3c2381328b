<?php

/**
 * The same as revolt.php in coroutines of Swoole.
 *
 *   php swoole.php REGISTER CLIENT_ID
 */

declare(strict_types=1);

use PushGateway\Async\SwooleLoop;
use PushGateway\Gateway;

require __DIR__ . '/../../../php/gateway/src/Async/SwooleLoop.php';

[, Gateway::$registerAddress, $client] = $argv;
$said = ['online' => 0];
// This PHP may have no curl that could be hooked.
Swoole\Coroutine::set(['hook_flags' => SWOOLE_HOOK_ALL & ~SWOOLE_HOOK_CURL & ~SWOOLE_HOOK_NATIVE_CURL]);
Swoole\Coroutine\run(static function () use ($client, &$said): void {
    $open = 101;
    go(static function () use (&$open, &$said, $client): void {
        $said['answers'] = SwooleLoop::await(Gateway::later('ask', [$client, 'how many?']));
        $open--;
    });
    go(static function () use (&$open, $client): void {
        for ($ticks = 1; $open > 0; $ticks++) {
            Gateway::sendToClient($client, "tick $ticks");
            Swoole\Coroutine::sleep(0.01);
        }
    });
    for ($i = 0; $i < 100; $i++) {
        go(static function () use (&$open, &$said, $client): void {
            $said['online'] += SwooleLoop::await(Gateway::later('isOnline', [$client]));
            $open--;
        });
    }
});
echo json_encode($said);
