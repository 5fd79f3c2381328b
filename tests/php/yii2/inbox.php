<?php
// The same deliveries by the component on a gateway with a store and by its fake: inbox.php WEBSOCKET, with the register's
// address in GATEWAY_REGISTER. Prints where the two differ, and then how many answers were compared.

use PushGateway\Yii2\Gateway;
use PushGateway\Yii2\test\FakeGateway;

define('YII_DEBUG', true);
require __DIR__ . '/../../../php/example/yii2/bootstrap.php';
require __DIR__ . '/../../../php-ext/tests/gateway.inc';
Yii::setAlias('@PushGateway', __DIR__ . '/../../../php/gateway/src');
Yii::setAlias('@PushGateway/Yii2', __DIR__ . '/../../../php/yii2/src');

[, $websocket] = $argv;
new yii\console\Application(['id' => 'test', 'basePath' => __DIR__, 'runtimePath' => sys_get_temp_dir()]);

/** Answers without times, but with whether there are times. */
function timeless(mixed $answer): mixed
{
    if (!is_array($answer)) {
        return $answer;
    }
    $shown = [];
    foreach ($answer as $key => $value) {
        $isTime = in_array($key, ['stored', 'expires', 'seen', 'written', 'received', 'read'], true);
        $shown[$key] = $isTime ? is_int($value) && abs($value - microtime(true) * 1000) < 40 * 86400 * 1000 : timeless($value);
    }
    return $shown;
}

/** A device comes and takes what waits for it; gives that. */
function fetched(Gateway $gateway, string $websocket, string $uid, string $device): array
{
    $client = new GatewayTest\Client($websocket, $device === '' ? '/' : "/?device=$device");
    $gateway->bindUid($client->id, $uid);
    GatewayTest\eventually("$device has all", function () use ($gateway, $uid, $device) {
        $waiting = array_column($gateway->inboxOf($uid)['devices'], 'waiting', 'device');
        return ($waiting[$device] ?? null) === 0;
    });
    $gateway->closeClient($client->id);
    $messages = [];
    while (($message = $client->receive()) !== null) {
        $messages[] = $message;
    }
    return $messages;
}

/** What a gateway says to the same calls. */
function answers(Gateway $gateway, callable $fetch): array
{
    $answers = [];
    $try = function (string $what, callable $call) use (&$answers): void {
        try {
            $answers[$what] = timeless($call());
        } catch (Throwable $thrown) {
            $answers[$what] = $thrown->getMessage();
        }
    };
    $wrong = [
        ['tll' => 1], [3], ['ttl' => 0], ['ttl' => null], ['ttl' => '5'], ['ttl' => 2592001],
        ['id' => ''], ['id' => "a\n"], ['id' => true], ['replace' => 1.5], ['replace' => 'ü'],
        ['new_device' => null], ['new_device' => 'none'], ['binary' => 0],
    ];
    foreach ($wrong as $options) {
        $try('wrong ' . json_encode($options), fn () => $gateway->deliverToUid('wrong', 'x', $options));
    }
    $try('long', fn () => $gateway->deliverToUid('wrong', str_repeat('x', 65537)));
    $try('wrong kept', fn () => $gateway->inboxOf('wrong'));
    $try('length of an id', fn () => strlen($gateway->deliverToUid('ann', ['text' => 'grüß'])));
    $two = ['id' => 5, 'ttl' => 60, 'new_device' => 'all', 'binary' => false, 'replace' => null];
    $try('two', fn () => $gateway->deliverToUid(['ann', 7, 0, ''], 'to two', $two));
    $try('again', fn () => $gateway->deliverToUid('ann', 'the same', ['id' => '5']));
    foreach (['ann', 7, 0, '', 'nobody'] as $uid) {
        $try("inbox of $uid", fn () => $gateway->inboxOf($uid));
    }
    $try('phone comes', fn () => $fetch('ann', 'phone'));
    $try('inbox after the phone', fn () => $gateway->inboxOf('ann'));
    foreach (['3 in the cart' => 'cart', 'other' => 'other', '4 in the cart' => 'cart'] as $text => $key) {
        $gateway->deliverToUid('ann', $text, ['replace' => $key, 'id' => strtr($text, ' ', '-')]);
    }
    $try('inbox after the cart', fn () => $gateway->inboxOf('ann'));
    $try('laptop comes', fn () => $fetch('ann', 'laptop'));
    $try('a device without a name comes', fn () => $fetch('ann', ''));
    $try('inbox after the laptop', fn () => $gateway->inboxOf('ann'));
    $try('phone comes back', fn () => $fetch('ann', 'phone'));
    $try('phone comes for nothing', fn () => $fetch('ann', 'phone'));
    $try('inbox after all', fn () => $gateway->inboxOf('ann'));
    foreach (['5', '3-in-the-cart', 'other', '4-in-the-cart', 'unknown'] as $id) {
        $try("receipt of $id", fn () => $gateway->receipt($id));
    }
    $try('time', fn () => array_map(fn ($receipt) => $receipt['expires'] - $receipt['stored'], $gateway->receipt('5')));
    $gateway->forget('ann');
    $try('inbox after forgetting', fn () => $gateway->inboxOf('ann'));
    $try('receipt after forgetting', fn () => $gateway->receipt('5'));
    $gateway->deliverToUid('ann', 'anew', ['id' => '5']);
    $try('phone comes anew', fn () => $fetch('ann', 'phone'));

    return $answers;
}

$server = new Gateway(['registerAddress' => getenv('GATEWAY_REGISTER'), 'onError' => Gateway::ON_ERROR_THROW]);
$fake = new FakeGateway(['onError' => Gateway::ON_ERROR_THROW]);
$ofServer = answers($server, fn ($uid, $device) => fetched($server, $websocket, $uid, $device));
$ofFake = answers($fake, $fake->inbox->fetch(...));
foreach ($ofServer as $what => $answer) {
    if ($answer !== $ofFake[$what]) {
        echo "$what: the server says ", json_encode($answer), ", and the fake ", json_encode($ofFake[$what]), "\n";
    }
}
echo count($ofServer), "\n";
