--TEST--
A call that is too large is refused with the limit, and costs nothing else
--EXTENSIONS--
gateway
--SKIPIF--
<?php
require "gateway.inc";
GatewayTest\skip_without_server();
?>
--INI--
memory_limit=256M
--FILE--
<?php
require 'gateway.inc';
use function GatewayTest\thrown;

$server = new GatewayTest\Server;
Gateway::$registerAddress = $server->register;
$client = $server->connect();
echo thrown(fn () => Gateway::sendToAll(str_repeat('x', 16 << 20))), "\n";
$uids = range(1, 1_000_000);
echo thrown(fn () => Gateway::sendToUid($uids, 'x')) === 'nothing was thrown' ? 'a million uids are fine' : 'refused', "\n";
echo preg_replace('/takes \d+/', 'takes N', thrown(fn () => Gateway::sendToUid(array_fill(0, 1000, str_repeat('u', 17000)), 'x'))), "\n";
Gateway::sendToAll('still here');
var_dump($client->receive());
?>
--EXPECTF--
PushGateway\ArgumentException: the call takes %d bytes, more than the limit of 16777216 bytes for one call; send less, or in parts
a million uids are fine
PushGateway\ArgumentException: the call takes N bytes, more than the limit of 16777216 bytes for one call; send less, or in parts
string(10) "still here"
