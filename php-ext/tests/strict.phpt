--TEST--
strict_types holds for client_ids; uids, groups and messages are any scalar anyway, and raw whatever is true
--EXTENSIONS--
gateway
--FILE--
<?php
declare(strict_types=1);

require 'gateway.inc';
use function GatewayTest\thrown;

Gateway::$registerAddress = 'arguments are fine';
$id = str_repeat('0', 20);

function show(callable $body)
{
    $thrown = thrown($body);
    echo str_contains($thrown, 'arguments are fine') ? 'fine' : $thrown, "\n";
}

show(fn () => Gateway::sendToUid(7, 'x'));
show(fn () => Gateway::sendToUid([7, 'u'], 'x', true));
show(fn () => Gateway::bindUid($id, 7));
show(fn () => Gateway::closeClient($id, null));
show(fn () => Gateway::sendToUid(7, 12));
show(fn () => Gateway::sendToUid(7, null));
show(fn () => Gateway::sendToUid(7, 'x', 1));
show(fn () => Gateway::sendToUid(7, 1.5, null));
show(fn () => Gateway::sendToGroup('g', true, null, 'yes'));
show(fn () => Gateway::sendToAll(false));
show(fn () => Gateway::sendToClient($id, 0));
show(fn () => Gateway::closeClient($id, 5));
show(fn () => Gateway::isOnline(7));
?>
--EXPECT--
fine
fine
fine
fine
fine
fine
fine
fine
fine
fine
fine
fine
TypeError: PushGateway\Gateway::isOnline(): Argument #1 ($client_id) must be of type string, int given
