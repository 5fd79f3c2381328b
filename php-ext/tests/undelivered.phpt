--TEST--
What was accepted and cannot be delivered is told of at the end
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
use GatewayTest\{Php, Process};

// A gateway that lets PHP in, takes nothing, and then is gone. See the wire's description of the handshake.
$fake = '
    $listener = stream_socket_server("tcp://127.0.0.1:0");
    echo stream_socket_get_name($listener, false), "\n";
    $php = stream_socket_accept($listener, 60);
    $frame = fn ($content) => pack("N", strlen($content)) . $content;
    fread($php, 4);
    // [0, 3, [32 bytes, 1]]
    fwrite($php, $frame("\x93\x00\x03\x92\xc4\x20" . str_repeat("n", 32) . "\x01"));
    $length = unpack("N", fread($php, 4))[1];
    while ($length > 0) { $length -= strlen(fread($php, $length)); }
    // [0, 4, 0]
    fwrite($php, $frame("\x93\x00\x04\x00"));
    // Until the test says so.
    fgets(STDIN);
    fclose($listener);
    fclose($php);
';
$code = '
    for ($i = 0; $i < 3; $i++) { Gateway::sendToAll("message $i"); }
    echo "sent", PHP_EOL;
    GatewayTest\read_until(STDIN, "/gone/", "word");
    // The loss may take a moment to be noticed.
    GatewayTest\eventually("down", fn () => str_contains(
        GatewayTest\thrown(fn () => Gateway::isOnline(str_repeat("0", 20))), "Can not connect"
    ));
    echo "the end", PHP_EOL;
';
foreach ([0.3, 0] as $flush) {
    $gateway = new Process([PHP_BINARY, '-n', '-r', $fake], [['pipe', 'r'], ['pipe', 'w'], ['file', '/dev/null', 'w']]);
    $address = trim(fgets($gateway->pipes[1]));
    $php = new Php($code, [
        'gateway.register_address' => $address, 'gateway.flush_timeout' => $flush, 'gateway.connect_timeout' => 0.5,
    ]);
    GatewayTest\read_until($php->pipes[1], '/^sent$/', 'word of PHP');
    fwrite($gateway->pipes[0], "close\n");
    $gateway->wait();
    fwrite($php->pipes[0], "gone\n");
    $begun = microtime(true);
    $output = stream_get_contents($php->pipes[1]) . stream_get_contents($php->pipes[2]);
    $status = $php->wait();
    $taken = microtime(true) - $begun;
    echo str_replace($address, 'ADDRESS', $output), $taken < 3 ? 'in time' : "took $taken s", " $status\n";
}

echo "-- when only the answer is late nothing is said, and the process's end gives it another chance\n";
$server = new GatewayTest\Server;
$client = $server->connect();
echo Php::run('Gateway::sendToAll("x");', ['gateway.register_address' => $server->register, 'gateway.flush_timeout' => 0]);
echo "done\n";
?>
--EXPECTF--
the end

Warning: PHP Request Shutdown: 3 calls could not be delivered to the gateway at tcp://ADDRESS: Can not connect to tcp://ADDRESS Connection refused. Check that %s in Unknown on line 0
in time 0
the end

Warning: PHP Request Shutdown: 3 calls could not be delivered to the gateway at tcp://ADDRESS: Can not connect to tcp://ADDRESS Connection refused. Check that %s in Unknown on line 0
in time 0
-- when only the answer is late nothing is said, and the process's end gives it another chance
done
