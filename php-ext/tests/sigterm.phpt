--TEST--
SIGTERM, with and without a handler, during sends and during a query that waits
--EXTENSIONS--
gateway
pcntl
--SKIPIF--
<?php
require "gateway.inc";
GatewayTest\skip_without_server();
?>
--FILE--
<?php
require 'gateway.inc';
use GatewayTest\{Php, Server, Stuck};
use function GatewayTest\fail;

$server = new Server('', '127.0.0.1:0', '--outbox-bytes', '500000000');
$client = $server->connect();
const HANDLER = '
    pcntl_async_signals(true);
    pcntl_signal(SIGTERM, function () use (&$i) {
        echo "handled\n";
        Gateway::sendToAll("end $i");
        exit(3);
    });
';

/** What it printed, how it ended, -1 being by a signal, and whether that took long. */
function ended(Php $php): string
{
    $since = microtime(true);
    $output = stream_get_contents($php->pipes[1]) . stream_get_contents($php->pipes[2]);
    $status = $php->wait();
    $taken = microtime(true) - $since;
    return trim(preg_replace('/\s+/', ' ', $output)) . "[$status]" . ($taken < 10 ? '' : " after $taken s") . "\n";
}

$settings = ['gateway.register_address' => $server->register, 'gateway.flush_timeout' => 10];
$next = ['with no handler' => 0, 'with a handler' => 0];
/** Takes numbered messages, which come in turn, until one of `$last`. Gives its number. */
$take = function (string ...$last) use ($client, &$next) {
    do {
        [, $of, $number] = preg_match('/^(.*) (\d+)$/', $message = $client->receive(), $parts) ? $parts : fail($message);
        if (isset($next[$of]) && $next[$of]++ !== (int) $number) {
            fail("out of turn: $message");
        }
    } while (!in_array($message, $last, true) && !in_array($of, $last, true));
    return (int) $number;
};
foreach ($next as $how => $none) {
    echo "-- during sends, $how\n";
    $php = new Php(($how === 'with a handler' ? HANDLER : '') . "
        echo 'ready', PHP_EOL;
        for (\$i = 0; true; \$i++) { Gateway::sendToAll('$how ' . \$i); }
    ", $settings);
    GatewayTest\read_until($php->pipes[1], '/^ready$/', 'word');
    $take("$how 1000");
    $php->signal(15);
    if ($how === 'with a handler') {
        // The signal may come between a call and the counting of it.
        $lacking = $take('end') - $next[$how];
        echo in_array($lacking, [0, -1], true) ? "all arrived\n" : "$lacking lack\n";
        echo ended($php);
    } else {
        echo ended($php);
        // Bytes that were handed to the kernel may arrive after this.
        Gateway::$registerAddress = $server->register;
        Gateway::sendToAll('end 0');
        $take('end');
    }
}

// The gateway is stuck here. A handler runs when the call ends.
$calls = [
    'a query that waits' => ['', 'Gateway::isOnline(str_repeat("0", 20));'],
    'a send that waits for room' => [
        'while (Gateway::stats()["queued_bytes"] < 64000) { Gateway::sendToAll(str_repeat("x", 1000)); }',
        'Gateway::sendToAll(str_repeat("x", 1000));',
    ],
];
// In PHP 8.1 the log is a file, since its standard error is closed when the last is said.
$log = tempnam(sys_get_temp_dir(), 'gateway');
foreach ($calls as $what => [$before, $call]) {
    foreach (['no handler' => '', 'a handler' => 'pcntl_async_signals(true); pcntl_signal(SIGTERM, function () { echo "handled"; exit(3); });'] as $how => $handler) {
        echo "-- during $what, $how\n";
        $stuck = new Stuck;
        $php = new Php("$handler $before
            echo 'ready', PHP_EOL;
            while (true) { try { $call } catch (GatewayException \$e) { echo 'thrown '; } }
        ", [
            'gateway.register_address' => $stuck->address,
            'gateway.connect_timeout' => $handler === '' ? 60 : 1.5,
            'gateway.buffer_bytes' => '64K',
            'gateway.flush_timeout' => 0.5,
            'error_log' => PHP_VERSION_ID < 80200 ? $log : '',
        ]);
        GatewayTest\read_until($php->pipes[1], '/^ready$/', 'word');
        $stuck->called();
        $php->signal(15);
        $said = preg_replace('/(PHP extension .*)(\[\d+\]\n)/', "$2$1\n", ended($php));
        echo str_replace($stuck->address, 'ADDRESS', $said . preg_replace('/^\[.*?\] /m', '', file_get_contents($log)));
        $stuck->stop();
    }
}
unlink($log);
?>
--EXPECT--
-- during sends, with no handler
[15]
-- during sends, with a handler
all arrived
handled[3]
-- during a query that waits, no handler
[15]
-- during a query that waits, a handler
handled[3]
-- during a send that waits for room, no handler
[15]
-- during a send that waits for room, a handler
handled[3]
PHP extension gateway: 64 calls could not be delivered to the gateway at tcp://ADDRESS: it did not confirm them in time (gateway.flush_timeout)
