--TEST--
A gateway that is restarted is found again
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
use function GatewayTest\{eventually, thrown};

$server = new GatewayTest\Server;
Gateway::$registerAddress = $address = $server->register;
$client = $server->connect();
Gateway::sendToAll('before');
var_dump($client->receive());
$server->stop();
eventually('the end is noticed', fn () => str_contains(thrown(fn () => Gateway::isOnline($client->id)), 'Connection refused'));
$server = new GatewayTest\Server('', $address);
var_dump(eventually('the link is back', function () use ($client) {
    try {
        return 'online: ' . Gateway::isOnline($client->id);
    } catch (GatewayException) {
        return null;
    }
}));
$client = $server->connect();
Gateway::sendToAll('after');
var_dump($client->receive());
?>
--EXPECT--
string(6) "before"
string(9) "online: 0"
string(5) "after"
