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
use GatewayTest\Php;

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
    $gateway = new GatewayTest\Stuck;
    $php = new Php($code, [
        'gateway.register_address' => $gateway->address, 'gateway.flush_timeout' => $flush, 'gateway.connect_timeout' => 0.5,
    ]);
    GatewayTest\read_until($php->pipes[1], '/^sent$/', 'word of PHP');
    $gateway->stop();
    fwrite($php->pipes[0], "gone\n");
    $begun = microtime(true);
    $output = stream_get_contents($php->pipes[1]) . stream_get_contents($php->pipes[2]);
    $status = $php->wait();
    $taken = microtime(true) - $begun;
    echo str_replace($gateway->address, 'ADDRESS', $output), $taken < 3 ? 'in time' : "took $taken s", " $status\n";
}

echo "-- when only the answer is late nothing is said, and the process's end gives it another chance\n";
$server = new GatewayTest\Server;
$client = $server->connect();
echo Php::run('Gateway::sendToAll("x");', ['gateway.register_address' => $server->register, 'gateway.flush_timeout' => 0]);
echo "done\n";
?>
--EXPECTF--
the end

Warning: %s: 3 calls could not be delivered to the gateway at tcp://ADDRESS: Can not connect to tcp://ADDRESS Connection refused. Check that %s in Unknown on line 0
in time 0
the end

Warning: %s: 3 calls could not be delivered to the gateway at tcp://ADDRESS: Can not connect to tcp://ADDRESS Connection refused. Check that %s in Unknown on line 0
in time 0
-- when only the answer is late nothing is said, and the process's end gives it another chance
done
