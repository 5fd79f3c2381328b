<?php
// The component over the HTTP API, without the extension: http.php CLIENT PROOF, with the API's address in GATEWAY_OPERATIONS. Prints an
// answer a line.

use PushGateway\Yii2\Gateway;

define('YII_DEBUG', true);
require __DIR__ . '/../../../php/example/yii2/bootstrap.php';
Yii::setAlias('@PushGateway', __DIR__ . '/../../../php/gateway/src');
Yii::setAlias('@PushGateway/Yii2', __DIR__ . '/../../../php/yii2/src');

[, $client, $proof] = $argv;
new yii\console\Application(['id' => 'test', 'basePath' => __DIR__, 'runtimePath' => sys_get_temp_dir()]);
$url = 'http://' . getenv('GATEWAY_OPERATIONS');
$file = tempnam(sys_get_temp_dir(), 'token');
file_put_contents($file, "token\n");
$gateway = new Gateway(['operationsUrl' => $url, 'operationsTokenFile' => $file, 'tokenKey' => 'key of tokens']);
unlink($file);

$say = function (string $what, callable $call): void {
    try {
        $said = json_encode($call());
    } catch (Throwable $thrown) {
        $said = $thrown::class;
    }
    echo "$what: $said\n";
};
$say('extension', fn () => extension_loaded('gateway'));
$say('bindUid', fn () => $gateway->bindUid($client, 7));
$say('joinGroup', fn () => $gateway->joinGroup($client, 'news'));
$say('isUidOnline', fn () => $gateway->isUidOnline(7));
$say('getClientIdListByGroup', fn () => $gateway->getClientIdListByGroup('news') === [$client => $client]);
$say('getAllUidList', fn () => $gateway->getAllUidList() === [7 => '7']);
$say('isClientProof', fn () => [$gateway->isClientProof($client, $proof), $gateway->isClientProof($client, 'x')]);
$say('setSession', fn () => $gateway->setSession($client, ['a' => 1]));
$say('getSession', fn () => $gateway->getSession($client));
$say('sendToClient', fn () => $gateway->sendToClient($client, ['n' => 1]));
$say('sendToUid', fn () => $gateway->sendToUid(7, 'to a uid', binary: false));
$say('sendToUidCounted', fn () => $gateway->sendToUidCounted(7, 'counted'));
$say('token', fn () => count(explode('.', $gateway->token(7))));
$say('sendToCurrentClient', fn () => $gateway->sendToCurrentClient('x'));
$say('stats', fn () => $gateway->stats());
$say('apply', fn () => $gateway->apply());
$say('a wrong address', fn () => new Gateway(['operationsUrl' => 'ftp://x']));
$other = new Gateway(['operationsUrl' => $url, 'operationsToken' => 'wrong', 'onError' => Gateway::ON_ERROR_THROW]);
$say('a wrong token', fn () => $other->sendToAll('x'));
$other->onError = Gateway::ON_ERROR_LOG;
$say('a wrong token, logged', fn () => $other->sendToClient($client, 'x'));
