<?php
// Handles events within a console application: what it logs and sends goes by the application's components.

class Events
{
    public static function onConnect($client_id)
    {
        Yii::$app->gateway->sendToClient($client_id, ['type' => 'init', 'client_id' => $client_id]);
    }

    public static function onMessage($client_id, $message)
    {
        Yii::warning("heard $message", 'test');
        Yii::$app->gateway->sendToClient($client_id, [
            'heard' => $message,
            'by' => Yii::$app->id,
            'worker' => getmypid(),
            'memory_limit' => (int) ini_get('memory_limit'),
        ]);
    }
}
