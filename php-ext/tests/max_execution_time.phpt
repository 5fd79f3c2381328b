--TEST--
max_execution_time ends a loop of calls by its fatal error, and what was sent arrives
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
use GatewayTest\Php;

$server = new GatewayTest\Server('', '127.0.0.1:0', '--outbox-bytes', '500000000');
$client = $server->connect();
$loops = [
    'sends' => 'while (true) { Gateway::sendToAll("message " . $sent); $sent++; }',
    'queries' => "while (true) { Gateway::sendToAll('message ' . \$sent); \$sent++; Gateway::isOnline('$client->id'); }",
    'calls that throw' => '
        while (true) {
            Gateway::sendToAll("message " . $sent); $sent++;
            try { Gateway::isOnline("bad"); } catch (GatewayException) {}
        }
    ',
    'a call that waits' => '
        $silent = stream_socket_server("tcp://127.0.0.1:0");
        Gateway::sendToAll("message " . $sent); $sent++;
        $address = Gateway::$registerAddress;
        Gateway::$registerAddress = stream_socket_get_name($silent, false);
        Gateway::$connectTimeout = 1.5;
        $begun = microtime(true);
        try { Gateway::isOnline("' . $client->id . '"); } catch (GatewayException $e) { echo "waited, "; }
        // The time of waiting does not count as execution.
        echo microtime(true) - $begun >= 1.3 ? "" : "not long enough, ";
        Gateway::$registerAddress = $address;
        while (true) { Gateway::sendToAll("message " . $sent); $sent++; }
    ',
];
foreach ($loops as $what => $loop) {
    // The last message tells how many came before it.
    $php = new Php("
        \$sent = 0;
        register_shutdown_function(function () use (&\$sent) {
            register_shutdown_function(fn () => Gateway::sendToAll('end ' . \$sent));
        });
        $loop
    ", ['gateway.register_address' => $server->register, 'max_execution_time' => 1, 'gateway.flush_timeout' => 10]);
    $begun = microtime(true);
    for ($next = 0; ($message = $client->receive()) === "message $next"; $next++);
    // The loop may have been ended between a call and the counting of it.
    [$end, $sent] = explode(' ', $message);
    $arrived = $end === 'end' && $next - $sent >= 0 && $next - $sent <= 1 ? 'all arrived' : "$message after $next";
    // An exception that is on its way is told of first.
    $output = preg_replace('/Warning: Uncaught .*(?=Fatal error)/s', '', trim(stream_get_contents($php->pipes[1])));
    echo "$what: $arrived, $output, status ", $php->wait(), "\n";
}
?>
--EXPECTF--
sends: all arrived, Fatal error: Maximum execution time of 1 second exceeded in Command line code on line %d, status 255
queries: all arrived, Fatal error: Maximum execution time of 1 second exceeded in Command line code on line %d, status 255
calls that throw: all arrived, Fatal error: Maximum execution time of 1 second exceeded in Command line code on line %d, status 255
a call that waits: all arrived, waited, 
Fatal error: Maximum execution time of 1 second exceeded in Command line code on line %d, status 255
