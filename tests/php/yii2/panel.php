<?php
// The debug panel of a request that calls the gateway: panel.php CLIENT_ID PROOF, with the register's address in
// GATEWAY_REGISTER and Yii's debugger in YII2_DEBUG_PATH. Prints what is kept, as JSON, then both views.

use PushGateway\Yii2\Gateway;

define('YII_DEBUG', true);
require __DIR__ . '/../../../php/example/yii2/bootstrap.php';
Yii::setAlias('@PushGateway', __DIR__ . '/../../../php/gateway/src');
Yii::setAlias('@PushGateway/Yii2', __DIR__ . '/../../../php/yii2/src');
Yii::setAlias('@yii/debug', getenv('YII2_DEBUG_PATH') . '/src');

[, $client, $proof] = $argv;
$_SERVER += ['SCRIPT_FILENAME' => __FILE__, 'SCRIPT_NAME' => '/index.php', 'REQUEST_URI' => '/', 'REQUEST_METHOD' => 'GET'];
$application = new yii\web\Application([
    'id' => 'test',
    'basePath' => __DIR__,
    'runtimePath' => sys_get_temp_dir(),
    'language' => getenv('APP_LANGUAGE') ?: 'en-US',
    'bootstrap' => [PushGateway\Yii2\Bootstrap::class],
    'modules' => ['debug' => ['class' => yii\debug\Module::class, 'panels' => ['db' => false, 'mail' => false]]],
    'components' => [
        'request' => ['cookieValidationKey' => 'x'],
        'gateway' => [
            'class' => Gateway::class,
            'registerAddress' => getenv('GATEWAY_REGISTER'),
            'tokenKey' => 'the key of tokens',
        ],
    ],
]);
/** @var yii\debug\Module $debug */
$debug = $application->getModule('debug');
$panel = $debug->panels['gateway'];
$panel->tag = 'tag';

$gateway = $application->get('gateway');
$gateway->bindUid($client, 'ann');
$gateway->sendToUid(['ann', '<b>bob</b>'], ['type' => 'what was said']);
$gateway->sendToAll('end');
$gateway->isClientProof($client, $proof);
$gateway->token('ann', 60, [], ['name' => 'what is in the session']);
try {
    $gateway->joinGroup('no client_id', 'news');
    $gateway->bindUid('no client_id', 'ann');
} catch (Throwable) {
    // It is in the panel.
}
$panel->load(json_decode(json_encode($panel->save()), true));
echo json_encode($panel->data), "\n", $panel->getSummary(), $panel->getDetail();
