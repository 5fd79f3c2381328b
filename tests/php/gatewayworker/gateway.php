<?php
// A gateway of GatewayWorker alone: register and workers are somebody else's.
//
//   php gateway.php start    with REGISTER, WEBSOCKET and INTERNAL in the environment: host:port, host:port and a first port

use GatewayWorker\Gateway;
use Workerman\Worker;

require __DIR__ . '/autoload.php';

$directory = getenv('STACK_DATA');
Worker::$pidFile = "$directory/pid";
Worker::$statusFile = "$directory/status";
Worker::$logFile = "$directory/log";

$gateway = new Gateway('websocket://' . getenv('WEBSOCKET'));
$gateway->name = 'gateway';
$gateway->count = 1;
$gateway->lanIp = '127.0.0.1';
$gateway->startPort = (int) getenv('INTERNAL');
$gateway->registerAddress = getenv('REGISTER');

Worker::runAll();
