<?php
// Workers of GatewayWorker alone: register and gateway are somebody else's.
//
//   php workers.php start    with REGISTER, WORKERS and SECRET_KEY in the environment

use GatewayWorker\BusinessWorker;
use Workerman\Worker;

require __DIR__ . '/autoload.php';
require __DIR__ . '/Conversation.php';

$directory = getenv('STACK_DATA');
Worker::$pidFile = "$directory/pid";
Worker::$statusFile = "$directory/status";
Worker::$logFile = "$directory/log";

$worker = new BusinessWorker();
$worker->name = 'worker';
$worker->count = (int) getenv('WORKERS');
$worker->registerAddress = getenv('REGISTER');
$worker->secretKey = (string) getenv('SECRET_KEY');
$worker->eventHandler = Conversation::class;

Worker::runAll();
