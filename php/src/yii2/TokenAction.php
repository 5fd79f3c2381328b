<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

use yii\web\IdentityInterface;
use yii\web\Response;

/**
 * Gives a page a connect token for the user who is logged in. {@see GatewayWidget::$tokenRoute} posts here before each
 * connection:
 *
 *     public function actions()
 *     {
 *         return ['token' => [
 *             'class' => \PushGateway\Yii2\TokenAction::class,
 *             'groups' => fn (IdentityInterface $user) => ["team-$user->teamId"],
 *         ]];
 *     }
 */
class TokenAction extends GatewayAction
{
    /** For how many seconds the token is good. It is needed to connect only. */
    public int $ttl = 60;

    /** @var array<string|int>|\Closure(IdentityInterface): array<string|int> groups to join at once */
    public array|\Closure $groups = [];

    /** @var array<mixed>|\Closure(IdentityInterface): array<mixed> the session to start with; the page can read it */
    public array|\Closure $session = [];

    /** Whether a token is good for one connection only; of use with one gateway-server. */
    public bool $once = false;

    public function run(): Response
    {
        $user = $this->userId(Translation::t('A token is to be asked for by POST.'));
        $groups = $this->ofUser($this->groups);
        $session = $this->ofUser($this->session);

        return $this->json(['token' => $this->gateway()->token($user, $this->ttl, $groups, $session, $this->once)]);
    }

    /**
     * @template T
     * @param array<T>|\Closure(IdentityInterface): array<T> $setting
     * @return array<T>
     */
    private function ofUser(array|\Closure $setting): array
    {
        if (is_array($setting)) {
            return $setting;
        }
        /** @var IdentityInterface $user as somebody is logged in */
        $user = $this->app()->getUser()->getIdentity();

        return $setting($user);
    }
}
