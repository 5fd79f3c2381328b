--TEST--
Lost connections: everything arrives once and in turn
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
$proxy = new GatewayTest\Proxy($server->register);
Gateway::$registerAddress = $proxy->address;
$client = $server->connect();
Gateway::bindUid($client->id, 'u');

/** Sends, again while the link is down. */
function insist(string $message): void
{
    eventually('sent', function () use ($message) {
        try {
            Gateway::sendToUid('u', $message);
            return true;
        } catch (GatewayException) {
            return false;
        }
    });
}

echo "-- cut again and again under load\n";
$sent = [];
for ($i = 0; $i < 20000; $i++) {
    insist($sent[] = "message $i");
    if ($i % 1000 === 500) {
        $proxy->tell('cut');
    }
}
var_dump($client->receiveMany(20000) === $sent, $proxy->tell('count') > 5);

echo "-- cut while idle\n";
$proxy->tell('cut');
insist('after a pause');
var_dump($client->receive());

echo "-- away and back without a restart of PHP\n";
$proxy->tell('close');
$lost = eventually('the loss is noticed', function () {
    $thrown = thrown(fn () => Gateway::getAllClientIdCount());
    return str_starts_with($thrown, 'PushGateway\UnreachableException: Can not connect to') ? $thrown : null;
});
echo str_replace($proxy->address, 'PROXY', $lost), "\n";
$proxy->tell('open');
eventually('the link is back', fn () => thrown(fn () => Gateway::sendToUid('u', 'back')) === 'nothing was thrown');
var_dump($client->receive());

echo "-- a query is asked again\n";
// A link that is lost again before anything was confirmed on it counts as down for a moment, and its calls fail: what was sent
// last is confirmed first.
var_dump(Gateway::isOnline($client->id));
for ($i = 0; $i < 50; $i++) {
    $proxy->tell('cut');
    if (Gateway::isOnline($client->id) !== 1) {
        echo "not online\n";
    }
}
echo "done\n";
?>
--EXPECTF--
-- cut again and again under load
bool(true)
bool(true)
-- cut while idle
string(13) "after a pause"
-- away and back without a restart of PHP
PushGateway\UnreachableException: Can not connect to tcp://PROXY %s
string(4) "back"
-- a query is asked again
int(1)
done
