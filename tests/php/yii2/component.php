<?php
// The component on a gateway with one client: component.php CLIENT_ID PROOF, with the register's address in GATEWAY_REGISTER.
// Without the extension it runs on GATEWAYCLIENT_PATH. Prints one line for each thing that it tries.

use PushGateway\Yii2\Gateway;
use PushGateway\Yii2\SendEvent;
use PushGateway\Yii2\test\FakeGateway;

define('YII_DEBUG', true);
require __DIR__ . '/../../../php/example/yii2/bootstrap.php';
Yii::setAlias('@PushGateway', __DIR__ . '/../../../php/gateway/src');
Yii::setAlias('@PushGateway/Yii2', __DIR__ . '/../../../php/yii2/src');
if (!extension_loaded('gateway') && getenv('GATEWAYCLIENT_PATH')) {
    foreach (['Context', 'GatewayProtocol', 'Gateway'] as $file) {
        require_once getenv('GATEWAYCLIENT_PATH') . "/$file.php";
    }
}

[, $client, $proof] = $argv;
$register = getenv('GATEWAY_REGISTER');
new yii\console\Application(['id' => 'test', 'basePath' => __DIR__, 'runtimePath' => sys_get_temp_dir()]);

function tried(string $what, callable $try): void
{
    try {
        $result = json_encode($try());
    } catch (Throwable $thrown) {
        $result = basename(strtr(get_class($thrown), '\\', '/')) . ': ' . $thrown->getMessage();
    }
    echo "$what: $result\n";
}

$make = fn (array $settings = []) => Yii::createObject($settings + ['class' => Gateway::class, 'registerAddress' => $register]);
foreach (['', 'nowhere', '127.0.0.1', 'http://x:1', ['127.0.0.1:1', 7]] as $address) {
    tried('address ' . json_encode($address), fn () => $make(['registerAddress' => $address]) && true);
}
tried('no addresses', fn () => $make(['registerAddress' => []]));
tried('timeout', fn () => $make(['connectTimeout' => 0]));
tried('backend', fn () => $make(['backend' => 'Nowhere']));
tried('unknown', fn () => $make()->sendTo());

// Another component's address does not stay.
$gateway = $make();
tried('elsewhere', fn () => (bool) $make(['registerAddress' => '127.0.0.1:9', 'connectTimeout' => 1]));
// Nobody listens there. (Before anything else is asked: GatewayClient remembers for a second where gateways were.)
// What is sent is lost and said so; what is asked throws, and sends where that is wanted.
$down = $make(['registerAddress' => '127.0.0.1:9', 'connectTimeout' => 1]);
$failed = [];
$down->on(Gateway::EVENT_SEND_FAILED, function (SendEvent $event) use (&$failed) {
    $failed[] = $event->describe() . ($event->error === null ? '' : ' with a reason');
});
$throws = function (callable $call): bool {
    try {
        $call();
        return false;
    } catch (Exception) {
        return true;
    }
};
$results = [$down->sendToUid('ann', 'lost'), $down->sendToGroup('news', 'lost')];
tried('down', fn () => [...$results, count($failed), $failed[0]]);
tried('asked', fn () => $throws(fn () => $down->isUidOnline('ann')));
$down->onError = Gateway::ON_ERROR_THROW;
tried('thrown', fn () => $throws(fn () => $down->sendToAll('lost')));

$gateway->bindUid($client, 'ann');
tried('online', fn () => [$gateway->isUidOnline('ann'), $gateway->getClientIdByUid('ann') == [$client]]);
tried('stranger', fn () => $gateway->isUidOnline('bob'));

$gateway->on(Gateway::EVENT_BEFORE_SEND, function (SendEvent $event) {
    if ($event->message === 'hold back') {
        $event->isValid = false;
    } elseif (is_array($event->message)) {
        $event->message['by'] = $event->method;
    }
});
$sent = [];
$gateway->on(Gateway::EVENT_AFTER_SEND, function (SendEvent $event) use (&$sent) {
    $sent[] = $event->describe();
});
$gateway->joinGroup($client, 'news');
$gateway->sendToUid('ann', ['text' => 'grüß']);
$gateway->sendToUid(['ann', 'bob'], 'as it is');
$gateway->sendToClient($client, ['n' => 1]);
$gateway->sendToGroup('news', 'hold back');
$gateway->sendToGroup('news', ['n' => 2], ['00000000000000000000']);
$gateway->sendToAll(['n' => 3], [$client]);
$gateway->sendToAll('excluded', null, $client);
$gateway->sendToUid('ann', 'to her other pages', false, $client);
$gateway->sendToUid('ann', 'to those without news', false, null, 'news');
$gateway->sendToUid('ann', 'with options', false, '00000000000000000000', ['weather']);
$gateway->sendToAll('to all without news', null, null, false, ['weather', 'news']);
$gateway->sendToAll('to some without news', [$client], excludeGroup: 'news');
$gateway->sendToGroup('news', 'to no member', excludeGroup: 'news');
$gateway->sendToAll('end');
tried('sent', fn () => $sent);

tried('token', fn () => $make()->token());
tried('token without key', fn () => $make()->token('ann'));
tried('token of a short secret', fn () => $make(['secretKey' => 'geheim'])->token('ann'));
$keyed = $make(['tokenKey' => 'a key']);
echo 'TOKEN ', $keyed->token('ann', 60, ['news', 7], ['name' => 'Ann', 'n' => [1, 2]], true), "\n";
echo 'TOKEN ', $make(['secretKey' => 'geheim, mit 24 Zeichen..'])->token(42, 60), "\n";
echo 'TOKEN ', $keyed->tokenForDevice('Anns téléphone', 'ann', 60), "\n";
tried('token of no device', fn () => $keyed->tokenForDevice('', 'ann'));
tried('token of a long device', fn () => $keyed->tokenForDevice(str_repeat('x', 65), 'ann'));
$make(['secretKey' => ''])->getAllUidCount();
tried('proof', fn () => [$gateway->isClientProof($client, $proof), $gateway->isClientProof($client, 'x')]);

tried('kind', fn () => $gateway->sendToClient($client, 'as text', binary: false));

$fake = Yii::createObject(['class' => FakeGateway::class, 'clients' => ['c1' => 'ann', 'c2' => null]]);
$fake->sendToUid('ann', ['type' => 'comment']);
$fake->bindUid('c2', 'bob');
$fake->joinGroup('c2', 'news');
tried('fake', fn () => [$fake->sent, $fake->isUidOnline('bob'), $fake->getClientIdCountByGroup('news'), $fake->token('x')]);
tried('fake unknown', fn () => $fake->getNothing());

$gateway->closeUid(['nobody', 'ann'], ['type' => 'bye']);
