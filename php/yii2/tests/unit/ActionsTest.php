<?php

declare(strict_types=1);

namespace PushGateway\Yii2\Tests;

use PushGateway\Yii2\BindUidAction;
use PushGateway\Yii2\TokenAction;
use Yii;
use yii\web\BadRequestHttpException;
use yii\web\Controller;
use yii\web\ForbiddenHttpException;
use yii\web\MethodNotAllowedHttpException;

final class ActionsTest extends TestCase
{
    private const CLIENT = '7f00000104d6a3f1c2b4';

    /**
     * @param class-string<\yii\base\Action> $action
     * @param array<string, mixed> $post
     * @param array<string, mixed> $settings
     */
    private function posted(string $action, ?string $user, array $post = [], array $settings = []): mixed
    {
        $this->tearDown();
        $this->startApplication(user: $user);
        $_SERVER['REQUEST_METHOD'] = 'POST';
        Yii::$app->getRequest()->setBodyParams($post);
        return (new $action('id', new Controller('page', Yii::$app), $settings))->run();
    }

    public function testATokenIsForWhoeverIsLoggedIn(): void
    {
        $groups = [];
        $settings = ['groups' => function (Visitor $visitor) use (&$groups) {
            return $groups = ["team of {$visitor->getId()}"];
        }];
        $answer = $this->posted(TokenAction::class, 'ann', [], $settings);
        $this->assertSame(['token' => 'token of ann'], $answer->data);
        $this->assertSame('no-store', $answer->getHeaders()->get('Cache-Control'));
        $this->assertSame(['team of ann'], $groups);
        $this->expectException(ForbiddenHttpException::class);
        $this->posted(TokenAction::class, null);
    }

    /** @dataProvider devices */
    public function testATokenNamesTheDeviceThatTheApplicationKnows(mixed $device, string $token): void
    {
        $this->assertSame(['token' => $token], $this->posted(TokenAction::class, 'ann', [], ['device' => $device])->data);
    }

    /** @return list<array{mixed, string}> */
    public static function devices(): array
    {
        return [
            ['phone', 'token of ann for phone'],
            [fn (Visitor $visitor) => "phone of {$visitor->getId()}", 'token of ann for phone of ann'],
            [fn () => null, 'token of ann'],
        ];
    }

    public function testAPageThatProvesItIsBound(): void
    {
        $answer = $this->posted(
            BindUidAction::class,
            'ann',
            ['client_id' => self::CLIENT, 'proof' => 'proof of ' . self::CLIENT]
        );
        $this->assertSame(['bound' => true], $answer->data);
        $this->assertSame('ann', $this->gateway->clients[self::CLIENT]);
    }

    /** @dataProvider wrongPosts */
    public function testOthersAreNot(array $post, string $refusal): void
    {
        $this->expectException($refusal);
        $this->posted(BindUidAction::class, 'mallory', $post);
    }

    /** @return array<string, array{array<string, mixed>, class-string<\Exception>}> */
    public static function wrongPosts(): array
    {
        return [
            'nothing' => [[], BadRequestHttpException::class],
            'no proof' => [['client_id' => self::CLIENT], ForbiddenHttpException::class],
            'a list' => [['client_id' => [self::CLIENT]], BadRequestHttpException::class],
            'another line' => [['client_id' => self::CLIENT . "\n"], BadRequestHttpException::class],
        ];
    }

    public function testNobodyAsksByALink(): void
    {
        $this->startApplication(user: 'ann');
        $this->expectException(MethodNotAllowedHttpException::class);
        (new TokenAction('id', new Controller('page', Yii::$app)))->run();
    }
}
