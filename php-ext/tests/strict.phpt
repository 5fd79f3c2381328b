--TEST--
strict_types holds for strings and bools; uids and groups are any scalar anyway
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
show(fn () => Gateway::closeClient($id, 5));
show(fn () => Gateway::isOnline(7));
?>
--EXPECT--
fine
fine
fine
fine
TypeError: PushGateway\Gateway::sendToUid(): Argument #2 ($message) must be of type string, int given
TypeError: PushGateway\Gateway::sendToUid(): Argument #2 ($message) must be of type string, null given
TypeError: PushGateway\Gateway::sendToUid(): Argument #3 ($raw) must be of type bool, int given
TypeError: PushGateway\Gateway::closeClient(): Argument #2 ($message) must be of type ?string, int given
TypeError: PushGateway\Gateway::isOnline(): Argument #1 ($client_id) must be of type string, int given
