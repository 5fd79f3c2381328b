--TEST--
flush() waits until everything is confirmed, and says so when it is not
--EXTENSIONS--
gateway
--SKIPIF--
<?php
require "gateway.inc";
GatewayTest\skip_without_server();
?>
--INI--
gateway.flush_timeout=0.2
--FILE--
<?php
require 'gateway.inc';
use function GatewayTest\{nobody, thrown};

echo "-- nothing was sent\n";
var_dump(Gateway::flush(), Gateway::flush(0));

$server = new GatewayTest\Server;
Gateway::$registerAddress = $server->register;
$client = $server->connect();
Gateway::bindUid($client->id, 'u');
for ($i = 0; $i < 1000; $i++) {
    Gateway::sendToUid('u', "message $i");
}
var_dump(Gateway::flush(10), Gateway::stats()['queued'], Gateway::stats()['acked']);

echo "-- a gateway that hangs\n";
$server->halt();
Gateway::sendToUid('u', 'meanwhile');
$begun = hrtime(true);
var_dump(Gateway::flush(), Gateway::flush(0), Gateway::stats()['queued']);
$took = (hrtime(true) - $begun) / 1e9;
echo $took >= 0.19 && $took < 5 ? "it has waited as long as php.ini says\n" : "it has waited $took s\n";
// The signal is SIGCONT.
$server->signal(18);
var_dump(Gateway::flush(10), Gateway::stats()['queued']);

echo "-- a refusal is told of\n";
set_error_handler(fn ($level, $text) => print(preg_match('/refused/', $text) ? "warned\n" : "$text\n"));
Gateway::setSocketSession($client->id, 'no array');
var_dump(Gateway::flush(10));

echo "-- times that are none\n";
foreach ([-1, NAN, INF] as $time) {
    echo thrown(fn () => Gateway::flush($time)), "\n";
}
?>
--EXPECT--
-- nothing was sent
bool(true)
bool(true)
bool(true)
int(0)
int(1001)
-- a gateway that hangs
bool(false)
bool(false)
int(1)
it has waited as long as php.ini says
bool(true)
int(0)
-- a refusal is told of
warned
bool(true)
-- times that are none
PushGateway\ArgumentException: the time to wait must be 0 seconds or more, and finite
PushGateway\ArgumentException: the time to wait must be 0 seconds or more, and finite
PushGateway\ArgumentException: the time to wait must be 0 seconds or more, and finite
