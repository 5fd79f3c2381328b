--TEST--
A gateway that is killed or stuck, and started again: calls take bounded time, then work again without a restart of PHP
--EXTENSIONS--
gateway
--SKIPIF--
<?php
require "gateway.inc";
GatewayTest\skip_without_server();
?>
--FILE--
<?php
require 'gateway.inc';
use GatewayTest\Server;
use function GatewayTest\eventually;

const TIMEOUT = 1;
/** A call waits for the connection or for room, then perhaps for its answer: not longer than the timeout, and slack. */
const BOUND = TIMEOUT + 2;

// A new client gets the messages that waited for the gateway.
$flags = ['--outbox-bytes', '100000000'];
$server = new Server('', '127.0.0.1:0', ...$flags);
Gateway::$registerAddress = $address = $server->register;
Gateway::$connectTimeout = TIMEOUT;
$client = $server->connect();
$longest = 0;

/** Sends and asks; gives whether both worked. */
function call(): bool
{
    global $client, $longest;
    $worked = true;
    $calls = [
        fn () => Gateway::sendToAll(str_repeat('x', 1000)),
        fn () => Gateway::isOnline($client->id),
        fn () => Gateway::setSession($client->id, ['name' => 'value']),
        fn () => Gateway::getAllClientSessions(),
    ];
    foreach ($calls as $call) {
        $begun = hrtime(true);
        try {
            $call();
        } catch (GatewayException) {
            $worked = false;
        }
        $longest = max($longest, (hrtime(true) - $begun) / 1e9);
    }
    return $worked;
}

/** Calls for so many seconds. */
function go_on(float $seconds): void
{
    for ($until = microtime(true) + $seconds; microtime(true) < $until;) {
        call();
    }
}

$ends = [
    'killed' => fn (Server $server) => $server->signal(9),
    'killed after it was stuck' => function (Server $server) {
        $server->halt();
        go_on(2.5 * TIMEOUT);
        $server->signal(9);
    },
    'stuck for a while, and killed in the middle of a burst' => function (Server $server) {
        $server->halt();
        for ($i = 0; $i < 10000; $i++) {
            Gateway::sendToAll('x');
        }
        $server->signal(9);
    },
];
foreach ($ends as $end => $kill) {
    echo "-- $end\n";
    var_dump(eventually('calls work', 'call'));
    $kill($server);
    go_on(1.5 * TIMEOUT);
    $server->wait();
    $server = new Server('', $address, ...$flags);
    $client = $server->connect();
    eventually('calls work again', 'call');
    Gateway::sendToClient($client->id, 'again');
    while ($client->receive() !== 'again');
    $client->close();
    $client = $server->connect();
}
echo $longest < BOUND ? "no call took too long\n" : "a call took $longest s\n";
?>
--EXPECT--
-- killed
bool(true)
-- killed after it was stuck
bool(true)
-- stuck for a while, and killed in the middle of a burst
bool(true)
no call took too long
