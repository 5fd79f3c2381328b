--TEST--
What a request sent before it ran out of memory arrives
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
$client = $server->connect();
echo GatewayTest\Php::run('
    ini_set("memory_limit", "4M");
    for ($i = 0; $i < 2000; $i++) { Gateway::sendToAll("message $i"); }
    str_repeat("x", 100 << 20);
', ['gateway.register_address' => $server->register]);
var_dump($client->receiveMany(2000) === array_map(fn ($i) => "message $i", range(0, 1999)));
Gateway::$registerAddress = $server->register;
Gateway::sendToAll('nothing came twice');
var_dump($client->receive());
?>
--EXPECTF--
Fatal error: Allowed memory size of 4194304 bytes exhausted (tried to allocate %d bytes) in Command line code on line %d
bool(true)
string(18) "nothing came twice"
