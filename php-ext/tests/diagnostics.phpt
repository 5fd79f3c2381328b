--TEST--
lastError(), stats() and gateway.on_error tell what became of the calls
--EXTENSIONS--
gateway
--SKIPIF--
<?php
require "gateway.inc";
GatewayTest\skip_without_server();
?>
--INI--
; Connections are counted: a gateway that is slow to answer would get a second one, in case it is GatewayWorker's register.
gateway.protocol=bridge
--FILE--
<?php
require 'gateway.inc';
use function GatewayTest\{eventually, nobody, thrown};

$server = new GatewayTest\Server;
$proxy = new GatewayTest\Proxy($server->register);
Gateway::$registerAddress = $proxy->address;
$show = fn () => print(str_replace($proxy->address, 'PROXY', json_encode(Gateway::stats(), JSON_UNESCAPED_SLASHES)) . "\n");

echo "-- asking opens nothing\n";
$show();
var_dump(Gateway::lastError(), $proxy->tell('count'));

echo "-- acked and refused\n";
$client = $server->connect();
Gateway::bindUid($client->id, 'u');
Gateway::setSocketSession($client->id, 'no array');
Gateway::sendToUid('u', 'hello');
Gateway::isOnline($client->id);
$show();
var_dump(preg_replace('/tcp:\S+/', 'PROXY', Gateway::lastError()));

echo "-- sent again, and taken once\n";
$proxy->tell('cut');
eventually('another connection', function () use ($proxy) {
    Gateway::sendToUid('u', 'more');
    return $proxy->tell('count') > 1;
});
var_dump(Gateway::isOnline($client->id), Gateway::stats()['queued'], Gateway::stats()['dropped']);

echo "-- exceptions, warnings, silence\n";
Gateway::$registerAddress = $address = nobody();
$short = fn (?string $text) => $text === null ? null : substr(str_replace(['PushGateway\\', $address], ['', 'NOBODY'], $text), 0, 60);
echo $short(thrown(fn () => Gateway::sendToAll('x'))), "\n";
echo $short(Gateway::lastError()), "\n";
set_error_handler(fn ($level, $text) => print("warned: " . $short($text) . "\n"));
ini_set('gateway.on_error', 'warning');
var_dump(Gateway::sendToAll('x'), Gateway::sendToClient($client->id, 'x'), Gateway::isOnline($client->id));
ini_set('gateway.on_error', 'silent');
var_dump(Gateway::sendToUid('u', 'x'), Gateway::closeClient($client->id), Gateway::getClientIdByUid('u'));
echo $short(Gateway::lastError()), "\n";
echo $short(thrown(fn () => Gateway::isOnline('malformed'))), "\n";
echo $short(Gateway::lastError()), "\n";
var_dump(ini_get('gateway.on_error'));
?>
--EXPECTF--
-- asking opens nothing
{"queued":0,"queued_bytes":0,"acked":0,"resent":0,"dropped":0,"skipped":0,"connected_to":null}
NULL
int(0)
-- acked and refused

Warning: PushGateway\Gateway::%s(): the gateway at tcp://%s refused 1 earlier call: the session is no serialized PHP array: byte 0 cannot stand there in %s on line %d
{"queued":0,"queued_bytes":0,"acked":2,"resent":0,"dropped":1,"skipped":0,"connected_to":"tcp://PROXY"}
string(%d) "the gateway at PROXY refused 1 earlier call: the session is no serialized PHP array: byte 0 cannot stand there"
-- sent again, and taken once
int(1)
int(0)
int(1)
-- exceptions, warnings, silence
UnreachableException: Can not connect to tcp://NOBODY Connec
Can not connect to tcp://NOBODY Connection refused. Check th
warned: Gateway::sendToAll(): Can not connect to tcp://NOBODY Connec
warned: Gateway::sendToClient(): Can not connect to tcp://NOBODY Con
warned: Gateway::isOnline(): Can not connect to tcp://NOBODY Connect
NULL
bool(false)
int(0)
NULL
bool(false)
array(0) {
}
Can not connect to tcp://NOBODY Connection refused. Check th
ArgumentException: client_id "malformed" is invalid: it must
client_id "malformed" is invalid: it must be 20 hexadecimal 
string(6) "silent"
