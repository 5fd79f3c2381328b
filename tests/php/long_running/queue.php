<?php

/**
 * A console application with Yii's queue: it pushes a job, or works as `yii queue/listen --isolate=0` does, all jobs in one process.
 *
 *   php queue.php FOLDER REGISTER push TEXT
 *   php queue.php FOLDER REGISTER listen
 */

declare(strict_types=1);

[, $folder, $register, $what] = $argv;
require getenv('YII2_PATH') . '/Yii.php';
Yii::setAlias('@yii/queue', getenv('YII2_QUEUE_PATH'));
Yii::setAlias('@yii/queue/file', getenv('YII2_QUEUE_PATH') . '/drivers/file');
Gateway::$registerAddress = $register;

/** Sends a text to a user. */
final class Push extends yii\base\BaseObject implements yii\queue\JobInterface
{
    public string $text = '';

    public function execute($queue): void
    {
        Gateway::sendToUid('anna', $this->text);
    }
}

$application = new yii\console\Application([
    'id' => 'queue',
    'basePath' => $folder,
    'bootstrap' => ['queue'],
    'components' => ['queue' => ['class' => yii\queue\file\Queue::class, 'path' => "$folder/queue"]],
]);
if ($what === 'push') {
    Yii::$app->get('queue')->push(new Push(['text' => $argv[4]]));
    exit(0);
}
exit($application->runAction('queue/listen', [1, 'isolate' => false]));
