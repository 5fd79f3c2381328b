--TEST--
Questions need no thread beside PHP's, also when the gateway has gone meanwhile; the first order starts one
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

$server = new GatewayTest\Server;
$proxy = new GatewayTest\Proxy($server->register);
Gateway::$registerAddress = $proxy->address;

function threads(): int
{
    return count(glob('/proc/self/task/*'));
}

echo 'asked: ', Gateway::isUidOnline('alice'), ', ', Gateway::getAllClientIdCount(), "\n";
echo 'threads: ', threads(), "\n";

// The connection is gone, which the next question finds out.
$proxy->tell('cut');
echo 'asked again: ', Gateway::isUidOnline('alice'), "\n";

$client = $server->connect();
Gateway::sendToAll('hello');
echo 'got: ', $client->receive(), "\n";
echo 'threads: ', threads(), "\n";
?>
--EXPECT--
asked: 0, 0
threads: 1
asked again: 0
got: hello
threads: 2
