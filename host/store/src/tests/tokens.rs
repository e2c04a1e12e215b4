//! Tokens: found by id and by workspace, and forgotten some time after their end.

use std::time::Duration;

use keyway_model::{TenantId, TokenId};

use super::Deployment;
use crate::Token;

impl Deployment {
    async fn token(&self, tenant: TenantId, number: u8, lives: Duration) -> Token {
        let now = self.clock.now();
        let token = Token {
            id: TokenId::random(),
            hash: [number; 32],
            tenant: Some(tenant),
            environment: None,
            role: "admin".to_owned(),
            label: format!("number {number}"),
            created_at: now,
            expires_at: now.plus(lives),
            revoked_at: None,
            used_at: None,
        };
        let unit = self.store.unit(self.mine);
        unit.push(self.store.directory().put_token(&token).await.unwrap());
        unit.commit().await.unwrap();
        self.pass(Duration::from_millis(1));
        token
    }

    async fn numbers(&self, tenant: TenantId) -> Vec<u8> {
        let tokens = self.store.directory().tokens_of(tenant).await.unwrap();
        tokens.iter().map(|token| token.hash[0]).collect()
    }
}

#[tokio::test]
async fn a_token_is_found_by_its_id_and_those_of_a_workspace_without_others() {
    let deployment = Deployment::new().await;
    let (mine, other) = (deployment.mine.tenant, deployment.other.tenant);
    let day = Duration::from_hours(24);
    let first = deployment.token(mine, 1, day).await;
    deployment.token(other, 2, day).await;
    deployment.token(mine, 3, day).await;
    assert_eq!(deployment.numbers(mine).await, [1, 3]);
    assert_eq!(deployment.numbers(other).await, [2]);
    let directory = deployment.store.directory();
    assert_eq!(directory.token_by_id(first.id).await.unwrap(), Some(first));
    let unknown = directory.token_by_id(TokenId::random()).await.unwrap();
    assert_eq!(unknown, None);
}

#[tokio::test]
async fn of_tokens_that_have_ended_the_oldest_of_each_workspace_are_forgotten() {
    let deployment = Deployment::new().await;
    let (mine, other) = (deployment.mine.tenant, deployment.other.tenant);
    let (hour, day) = (Duration::from_hours(1), Duration::from_hours(24));
    deployment.token(mine, 1, hour).await;
    let revoked = deployment.token(mine, 2, day).await;
    deployment.token(mine, 3, day).await;
    deployment.token(mine, 4, hour).await;
    deployment.token(other, 5, hour).await;
    let directory = deployment.store.directory();
    let unit = deployment.store.unit(deployment.mine);
    unit.push(directory.revoke_token(revoked.id));
    unit.commit().await.unwrap();
    deployment.pass(2 * hour);
    directory.forget_ended_tokens(1);
    // What is committed after it waits for it.
    deployment.token(other, 6, day).await;
    assert_eq!(deployment.numbers(mine).await, [3, 4]);
    assert_eq!(deployment.numbers(other).await, [5, 6]);
}
