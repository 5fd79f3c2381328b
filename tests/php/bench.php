<?php
// Times one method, call by call: php bench.php REGISTER METHOD CALLS CLIENT_ID PERSISTENT
// The method `later` is isUidOnline by Gateway::later(), a hundred at a time, each with a hundredth of their time.
// Prints JSON: calls a second, and nanoseconds of the first call, the median and the 99th percentile.

use GatewayClient\Gateway;

if (getenv('GATEWAYCLIENT_PATH')) {
    require __DIR__ . '/gatewayworker/autoload.php';
}

[, Gateway::$registerAddress, $method, $calls, $clientId, $persistent] = $argv;
Gateway::$persistentConnection = (bool) $persistent;

$arguments = [
    'sendToUid' => ['bench', str_repeat('x', 64)],
    'bindUid' => [$clientId, 'bench'],
    'isUidOnline' => ['bench'],
    'getClientIdByUid' => ['bench'],
    'later' => ['isUidOnline', ['bench']],
    'setSession' => [$clientId, ['user' => 7, 'name' => 'Alice', 'roles' => ['admin', 'editor']]],
][$method];

$times = [];
$begin = hrtime(true);
$now = $begin;
$atOnce = $method === 'later' ? 100 : 1;
for ($i = 0; $i < $calls; $i += $atOnce) {
    $futures = [];
    for ($open = 0; $open < $atOnce; $open++) {
        $futures[] = Gateway::$method(...$arguments);
    }
    if ($method === 'later') {
        foreach ($futures as $future) {
            $future->resolve();
        }
    }
    $before = $now;
    $now = hrtime(true);
    $times[] = intdiv($now - $before, $atOnce);
}
// A send counts once it has taken effect: a query stands behind them all.
Gateway::isUidOnline('bench');
$seconds = (hrtime(true) - $begin) / 1e9;

$first = array_shift($times);
sort($times);
$at = static fn (float $share): int => $times[(int) ($share * (count($times) - 1))];
echo json_encode(['rate' => $calls / $seconds, 'first' => $first, 'p50' => $at(0.5), 'p99' => $at(0.99)]), "\n";
