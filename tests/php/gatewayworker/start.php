<?php
// The original stack, to compare with: register, gateway and worker processes of GatewayWorker.
//
//   php start.php start    with REGISTER, WEBSOCKET and INTERNAL in the environment: host:port, host:port and a first port

use GatewayWorker\BusinessWorker;
use GatewayWorker\Gateway;
use GatewayWorker\Register;
use Workerman\Worker;

require __DIR__ . '/autoload.php';
require __DIR__ . '/Events.php';

$directory = getenv('STACK_DATA');
Worker::$pidFile = "$directory/pid";
Worker::$statusFile = "$directory/status";
Worker::$logFile = "$directory/log";

$register = new Register('text://' . getenv('REGISTER'));
$register->name = 'register';

$gateway = new Gateway('websocket://' . getenv('WEBSOCKET'));
$gateway->name = 'gateway';
$gateway->count = 1;
$gateway->lanIp = '127.0.0.1';
$gateway->startPort = (int) getenv('INTERNAL');
$gateway->registerAddress = getenv('REGISTER');

$worker = new BusinessWorker();
$worker->name = 'worker';
$worker->count = 1;
$worker->registerAddress = getenv('REGISTER');
$worker->eventHandler = Events::class;

Worker::runAll();
